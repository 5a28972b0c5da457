// How a session ends: the closing handshake, lingering, and what is left when
// nginx or the worker ends it.
#include "nginx/core/log_line.hpp"
#include "nginx/session/session.hpp"

#include "nginx/output/transport.hpp"
#include "nginx/session/drain.hpp"
#include "nginx/session/worker.hpp"
#include "nginx/workers/counters.hpp"
#include "protocol/close_code.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

// How long a client from which no Close may come can be silent after ours: one
// that broke the protocol (RFC 6455 7.1.7) may itself wait for our end, and one
// that stops within a frame that was refused sends nothing more. So long one
// may also answer after a Close of its own that was broken.
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
    if (phase_ != phase::open && phase_ != phase::joining) {
        return;
    }

    record_end(code, protocol::close_reason(reason), initiator);
    begin_end(endpoint_.begin_close(code, reason), phase_after_close());
}

// Fails the connection (RFC 6455 7.1.7). A client whose message is too big or
// of a kind that is not accepted keeps the protocol all the same.
void session::fail(const protocol::event &failure) noexcept
{
    const std::uint16_t code = protocol::close_code_for(failure.reason);

    record_end(code, protocol::describe(failure.reason),
               close_initiator::error);

    protocol_broken_ = code == protocol::close_code::protocol_error ||
                       code == protocol::close_code::invalid_payload;
    begin_end(endpoint_.answer(failure), phase_after_close());
}

void session::end_within(ngx_msec_t timeout) noexcept
{
    end_at_ = ngx_current_msec + timeout;
    ngx_add_timer(connection_->read, remaining_for_close(timeout));
}

// How long the client's Close is still awaited, of the time that is left.
ngx_msec_t session::remaining_for_close(ngx_msec_t left) const noexcept
{
    if ((phase_ != phase::closing && phase_ != phase::close_postponed) ||
        !endpoint_.failed() ||
        !(protocol_broken_ || endpoint_.inside_frame())) {
        return left;
    }

    // Since our Close, or since what was received after it
    const ngx_msec_t silent =
        std::min(last_received_.elapsed(ngx_current_msec),
                 conf_.close_timeout - std::min(left, conf_.close_timeout));
    const ngx_msec_t limit = std::min(max_silence, conf_.close_timeout / 2);

    return std::min(left, limit - std::min(silent, limit));
}

void session::on_close_timeout() noexcept
{
    // The difference, as the clock may wrap around
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
        begin_end({}, phase::flushing);
        flush();
    }
}

void session::on_send_timeout() noexcept
{
    connection_->timedout = 1;
    counters::add(counters::slow_closes);
    record_end(protocol::close_code::abnormal,
               "client does not read what is sent", close_initiator::timeout);
    phase_ = phase::ended;
}

void session::on_connection_error() noexcept
{
    connection_->error = 1;
    record_end(protocol::close_code::abnormal, "", close_initiator::error);
    phase_ = phase::ended;
}

// The first cause is the one that counts.
void session::record_end(std::uint16_t code, std::string_view reason,
                         close_initiator initiator) noexcept
{
    if (closed_by_ != close_initiator::nobody) {
        return;
    }

    closed_by_ = initiator;
    close_code_ = code;
    counters::session_closed(code, initiator == close_initiator::client);

    if (reason.empty()) {
        return;
    }

    // A Close frame has room for less, and so have our own words
    constexpr std::size_t max_size = std::numeric_limits<std::uint8_t>::max();
    const std::size_t size = std::min(reason.size(), max_size);

    close_reason_.reset(new (std::nothrow) char[size]);

    if (close_reason_) {
        ngx_memcpy(close_reason_.get(), reason.data(), size);
        close_reason_size_ = static_cast<std::uint8_t>(size);
    }
}

// Goes on towards the end. The time that is left counts from the first step.
void session::enter_phase(phase next) noexcept
{
    const bool first = phase_ == phase::open || phase_ == phase::joining;

    phase_ = next;

    if (first) {
        end_within(conf_.close_timeout);
    }

    resume_read(); // its Close is awaited

    if (!in_turn_) {
        flush_later();
    }
}

// If the socket were closed while input is unread, the peer would be reset
// before it has read our Close frame. After a closing handshake it has nothing
// more to send; one whose Close was broken may answer ours.
void session::linger() noexcept
{
    if (peer_finished_ || (endpoint_.finished_reading() &&
                           !endpoint_.failed() && !has_unread_input())) {
        phase_ = phase::ended;
        return;
    }

    leave_resource(); // all was said: the handler need not wait for the
                      // socket's end
    phase_ = phase::lingering;
    connection_->log_error = NGX_ERROR_IGNORE_ECONNRESET; // all was said

    if (endpoint_.finished_reading() && endpoint_.failed()) {
        end_within(std::min(max_silence, conf_.close_timeout / 2));
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
    self->end_within(self->conf_.close_timeout);

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

// A graceful quit asks each session once: one that is open goes on until its
// turn has come. When worker_shutdown_timeout is over, nginx asks again, with
// a connection marked as broken, which it is not: TLS ends with close_notify.
void session::on_shutdown() noexcept
{
    ngx_connection_t *c = connection_;

    c->close = 0;
    c->idle = 0;
    shutting_down_ = true;
    counters::set_draining();

    if (c->error) {
        c->error = 0;
        send_close_and_abort();
        return;
    }

    if (phase_ != phase::open && phase_ != phase::joining) {
        return;
    }

    end_at_ = drain::next_close_time();

    if (phase_ == phase::joining) {
        return; // its time is looked at when it has joined
    }

    if (c->read->timer_set) {
        ngx_del_timer(c->read); // nginx would not move it by a little
    }

    check_idle();
}

void session::close_for_shutdown() noexcept
{
    close(drain::close_code(), "server is shutting down",
          close_initiator::server);
    flush();
}

void session::terminate() noexcept
{
    send_close_and_abort();
    rearm_or_finish();
}

// There is no more time: the Close frame goes out as far as the connection
// takes it, and that is the end.
void session::send_close_and_abort() noexcept
{
    send_all_postponed();
    close_for_shutdown();
    send_all_postponed(); // the Close, if that was postponed
    flush();

    if (phase_ != phase::ended) {
        (void)writer_.flush(SIZE_MAX);
    }

    if (!writer_.empty()) {
        connection_->error = 1; // behind a stuck record TLS cannot end either
    }

    if (phase_ == phase::closing || phase_ == phase::flushing) {
        // With input unread the socket's end would eat the Close frame
        (void)half_close();
        discard_input();
    }

    phase_ = phase::ended;
}

// Where nginx ends the request by itself, the client is told all the same.
void session::on_request_cleanup(void *data)
{
    auto *self = static_cast<session *>(data);

    if (self->phase_ != phase::created && self->phase_ != phase::ended) {
        self->close(protocol::close_code::internal_error,
                    "nginx ended the request", close_initiator::server);
        self->send_close_and_abort();
        self->log_end();
    }

    self->detach();
}

void session::on_pool_cleanup(void *data)
{
    static_cast<session *>(data)->destroy();
}

// The client is told of as gone once, and the resource may be gone with it.
void session::leave_resource() noexcept
{
    resource *left = std::exchange(resource_, nullptr);

    if (left == nullptr) {
        return;
    }

    postponed_.clear();

    if (!listed_) {
        left->cancel_reservation();
    } else if (!client_connected_) {
        left->withdraw_client(*this);
    } else {
        counters::client_disconnected();
        left->remove_client(*this);

        if (handler().client_disconnected != nullptr) {
            handler().client_disconnected(
                left->object(), client_,
                closed_by_ == close_initiator::nobody
                    ? protocol::close_code::abnormal
                    : close_code_,
                {close_reason_.get(), close_reason_size_});
        }
    }

    if (client_ != nullptr && handler().client_destroyed != nullptr) {
        handler().client_destroyed(left->object(), client_);
    }

    client_ = nullptr;
    left->release();
}

void session::detach() noexcept
{
    ngx_connection_t *c = connection_;

    if (request_part_ != nullptr && request_part_->start_event.posted) {
        ngx_delete_posted_event(&request_part_->start_event);
    }

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    this_worker().pending_flushes.remove(flush_index_);
    this_worker().sessions_by_fd.remove(c, *this);
    ngx_queue_remove(&link_);
    ngx_queue_init(&link_);
    phase_ = phase::ended;
    leave_resource();
}

void session::finish() noexcept
{
    ngx_connection_t *c = connection_;
    ngx_http_request_t *r = request_;

    log_end();
    detach();

    c->idle = 0;

    if (r == nullptr) {
        finish_without_request();
        return;
    }

    c->read->handler = request_part_->read_handler;
    c->write->handler = request_part_->write_handler;
    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_finalize_request(r, NGX_ERROR);
    ngx_http_run_posted_requests(c);
}

void session::log_end() noexcept
{
    const std::string_view reason{close_reason_.get(), close_reason_size_};
    const ngx_msec_t lasted = ngx_current_msec - started_;

    write_log(NGX_LOG_INFO, connection_->log,
              "websocket: closed by %V, code %ui, reason \"%V\"; in %uL "
              "messages of %uL bytes, out %uL of %uL, dropped %uL, "
              "after %M.%03Ms",
              name_of(closed_by_), static_cast<ngx_uint_t>(close_code_), reason,
              counters_.messages_in, counters_.bytes_in, counters_.messages_out,
              counters_.bytes_out, counters_.dropped, lasted / 1000,
              lasted % 1000);
}

} // namespace websocket::nginx
