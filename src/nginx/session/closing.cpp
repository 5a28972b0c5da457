// The closing handshake (RFC 6455 7) and the half-closed time after it.
#include "nginx/session/session.hpp"

#include "nginx/output/event_bytes.hpp"
#include "nginx/output/transport.hpp"
#include "nginx/session/worker.hpp"
#include "nginx/workers/counters.hpp"
#include "protocol/frames/close_code.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <new>

namespace websocket::nginx {

namespace {

// How many ms to wait after our Close for a client that may never send one. A
// client that broke the protocol (RFC 6455 7.1.7) may itself wait for us, and
// one that stopped within a rejected frame sends nothing more. A client that
// sent a broken Close may answer ours within this time.
constexpr ngx_msec_t max_silence = 1000;

} // namespace

std::string_view name_of(close_initiator initiator) noexcept
{
    switch (initiator) {
    case close_initiator::client:
        return "client";
    case close_initiator::server:
        return "server";
    case close_initiator::timeout:
        return "timeout";
    case close_initiator::error:
        return "error";
    case close_initiator::nobody:
        break;
    }

    return "";
}

void session::close(std::uint16_t code, std::string_view reason,
                    close_initiator initiator) noexcept
{
    if (phase_ != phase::created && phase_ != phase::open &&
        phase_ != phase::joining) {
        return;
    }

    record_close(code, protocol::close_reason(reason), initiator);

    if (phase_ == phase::created) {
        return; // the 101 comes first: start() closes
    }

    start_closing(endpoint_.begin_close(code, reason), phase_after_close());
}

void session::write_close(const protocol::control_frame &frame) noexcept
{
    if (!frame.empty()) {
        // If this fails, the next flush() ends the session
        (void)writer_.write_bytes(
            close_bytes(frame, negotiated_.event_stream).get());
    }
}

// Continues to `next` with a Close frame, which may be empty.
void session::start_closing(const protocol::control_frame &frame,
                            phase next) noexcept
{
    if (phase_ == phase::close_postponed) {
        postponed_phase_ = next;
        return;
    }

    // The Close must follow postponed sends, even if it need not wait itself
    const close_bytes bytes(frame, negotiated_.event_stream);

    if (phase_ == phase::open && (must_postpone() || !postponed_.empty()) &&
        resource_->postpone(postponed_send::create_close(bytes.get()), *this,
                            postponed_)) {
        postponed_phase_ = next;
        enter_phase(phase::close_postponed);
        return;
    }

    write_close(frame);
    enter_phase(next);
}

// Closes without waiting for messages that are published but not delivered. The
// Close frame replaces a postponed one, but the first cause remains recorded.
void session::close_immediately(std::uint16_t code, std::string_view reason,
                                close_initiator initiator) noexcept
{
    postponed_.clear();

    if (phase_ == phase::close_postponed) {
        // The endpoint regards the postponed frame as sent
        write_close(protocol::make_close_frame(code, reason));
        enter_phase(postponed_phase_);
        return;
    }

    record_close(code, protocol::close_reason(reason), initiator);
    write_close(endpoint_.begin_close(code, reason));
    enter_phase(phase_after_close());
}

// Fails the connection (RFC 6455 7.1.7). A message that is too big, or of a
// kind that is not accepted, does not break the protocol: the client's Close is
// still awaited.
void session::fail(const protocol::event &failure) noexcept
{
    const std::uint16_t code = protocol::close_code_for(failure.reason);

    record_close(code, protocol::describe(failure.reason),
                 close_initiator::error);

    protocol_broken_ = code == protocol::close_code::protocol_error ||
                       code == protocol::close_code::invalid_payload;
    start_closing(endpoint_.answer(failure), phase_after_close());
}

void session::set_close_deadline(ngx_msec_t timeout) noexcept
{
    end_at_ = ngx_current_msec + timeout;
    ngx_add_timer(connection_->read, remaining_for_close(timeout));
}

// How many ms of the remaining `left` the client's Close is still awaited.
ngx_msec_t session::remaining_for_close(ngx_msec_t left) const noexcept
{
    if ((phase_ != phase::closing && phase_ != phase::close_postponed) ||
        !endpoint_.failed() ||
        !(protocol_broken_ || endpoint_.inside_frame())) {
        return left;
    }

    // Since our Close, or since the last input after it
    const ngx_msec_t silent =
        std::min(last_received_.elapsed(ngx_current_msec),
                 conf_.close_timeout - std::min(left, conf_.close_timeout));
    const ngx_msec_t limit = std::min(max_silence, conf_.close_timeout / 2);

    return std::min(left, limit - std::min(silent, limit));
}

void session::on_close_timeout() noexcept
{
    // Compared by difference, because the clock may wrap around
    const auto left = static_cast<ngx_msec_int_t>(end_at_ - ngx_current_msec);

    if (left <= 0) {
        connection_->timedout = 1;
        phase_ = phase::ended;
        return;
    }

    const auto remaining = static_cast<ngx_msec_t>(left);
    const ngx_msec_t next = remaining_for_close(remaining);

    ngx_add_timer(connection_->read, next != 0 ? next : remaining);

    if (next == 0) {
        start_closing({}, phase::flushing);
        flush();
    }
}

void session::on_send_timeout() noexcept
{
    connection_->timedout = 1;
    counters::add(counters::slow_closes);
    record_close(protocol::close_code::abnormal,
                 "client does not read: websocket_send_timeout exceeded",
                 close_initiator::timeout);
    phase_ = phase::ended;
}

void session::on_connection_error() noexcept
{
    connection_->error = 1;
    record_close(protocol::close_code::abnormal, "", close_initiator::error);
    phase_ = phase::ended;
}

void session::record_close(std::uint16_t code, std::string_view reason,
                           close_initiator initiator) noexcept
{
    if (closed_.set(code, reason, initiator)) {
        counters::session_closed(code, initiator == close_initiator::client);
    }
}

bool close_record::set(std::uint16_t code, std::string_view reason,
                       close_initiator initiator) noexcept
{
    if (!empty()) {
        return false;
    }

    by_ = initiator;
    code_ = code;

    if (reason.empty()) {
        return true;
    }

    // The reason of a Close frame is shorter, and so are ours
    constexpr std::size_t max_size = std::numeric_limits<std::uint8_t>::max();
    const std::size_t size = std::min(reason.size(), max_size);

    reason_.reset(new (std::nothrow) char[size]);

    if (reason_) {
        ngx_memcpy(reason_.get(), reason.data(), size);
        reason_size_ = static_cast<std::uint8_t>(size);
    }

    return true;
}

// Enters a phase of closing. The close timeout counts from the first one.
void session::enter_phase(phase next) noexcept
{
    const bool first = phase_ == phase::open || phase_ == phase::joining;

    phase_ = next;

    if (first) {
        set_close_deadline(conf_.close_timeout);
    }

    resume_read(); // the client's Close is awaited

    if (!in_turn_) {
        flush_later();
    }
}

// Ends our side and discards input until the peer ends its side. Closing a
// socket with unread input would reset the connection before the peer has read
// our Close frame. After a complete closing handshake the peer sends nothing
// more. A peer whose Close was broken may still answer ours.
void session::linger() noexcept
{
    if (peer_finished_ || (endpoint_.finished_reading() &&
                           !endpoint_.failed() && !has_unread_input())) {
        phase_ = phase::ended;
        return;
    }

    leave_resource(); // the handler need not wait for the end of the socket

    if (writer_.body() != nullptr) {
        phase_ = phase::ended;
        return;
    }

    phase_ = phase::lingering;
    // A reset is expected from here on
    connection_->log_error = NGX_ERROR_IGNORE_ECONNRESET;

    if (endpoint_.finished_reading() && endpoint_.failed()) {
        set_close_deadline(std::min(max_silence, conf_.close_timeout / 2));
    }

    switch (half_close()) {
    case NGX_OK:
        discard_input();
        return;
    case NGX_AGAIN:
        return;
    default:
        phase_ = phase::ended;
    }
}

void session::on_tls_shut(ngx_connection_t *c)
{
    session *self = &this_worker().sessions_by_fd[c];

    self->install_handlers();
    self->set_close_deadline(self->conf_.close_timeout);

    if (c->timedout || c->error) {
        self->phase_ = phase::ended;
    } else {
        self->linger();
    }

    self->rearm_or_finish();
}

ngx_int_t session::half_close() noexcept
{
    return transport::half_close(connection_, on_tls_shut);
}

} // namespace websocket::nginx
