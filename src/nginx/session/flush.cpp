// Flushes the send queue, resumes paused reading, and runs the timer that
// detects silent clients.
#include "nginx/session/session.hpp"

#include "nginx/identity/token_settings.hpp"
#include "nginx/output/event_bytes.hpp"
#include "nginx/output/response_body.hpp"
#include "nginx/session/worker.hpp"
#include "protocol/frames/close_code.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace websocket::nginx {

void session::write_control(const protocol::control_frame &frame) noexcept
{
    if (!frame.empty()) {
        // If this fails, the next flush() ends the session
        (void)writer_.write_bytes(frame.bytes());
    }
}

void session::write_ping(std::span<const std::byte> payload) noexcept
{
    if (negotiated_.event_stream) {
        (void)writer_.write_bytes(std::as_bytes(std::span(event_comment)));
        return;
    }

    write_control({protocol::opcode::ping, payload});

    if (unanswered_pings_ != std::numeric_limits<std::uint16_t>::max()) {
        unanswered_pings_++;
    }
}

// Sends what the connection accepts. If the queue becomes empty, continues with
// the next step of closing, or calls client_drained().
void session::flush() noexcept
{
    ngx_event_t *wev = connection_->write;
    const off_t sent_before = connection_->sent;

    if (phase_ == phase::ended) {
        return;
    }

    const ngx_int_t rc = writer_.flush();
    const bool progressed = writer_.body() != nullptr
                                ? writer_.body()->has_progressed()
                                : connection_->sent != sent_before;

    if (progressed) {
        last_sent_ = timestamp(ngx_current_msec);
    }

    if (rc == NGX_ERROR) {
        on_connection_error();
        return;
    }

    if (rc == NGX_AGAIN) {
        backpressured_ = true;

        if (progressed || !wev->timer_set) {
            ngx_add_timer(wev, conf_.send_timeout);
        }

        if (wev->ready) {
            // After the other sessions
            ngx_post_event(wev, &ngx_posted_next_events);
        }

        // A client that reads, however slowly, must receive its Close frame
        if (progressed && phase_ != phase::open && !shutting_down_) {
            set_close_deadline(conf_.close_timeout);
        }
        return;
    }

    if (wev->timer_set) {
        ngx_del_timer(wev);
    }

    if (phase_ == phase::flushing) {
        linger();
        return;
    }

    if (phase_ == phase::closing &&
        (endpoint_.failed() || !client_connected_)) {
        leave_resource(); // only the client's Close is awaited
        return;
    }

    // client_drained() is not called within the client's own turn, after which
    // another flush follows
    if (!backpressured_ || in_turn_ || !postponed_.empty()) {
        return;
    }

    backpressured_ = false;

    if (phase_ == phase::open && handler().client_drained != nullptr) {
        const resource::delivery_scope scope(*resource_);

        close_if_failed(handler().client_drained(resource_->object(), client_));
    }
}

// Flushes after the current event.
void session::flush_later() noexcept
{
    if (!this_worker().pending_flushes.add(*this, flush_index_)) {
        ngx_post_event(connection_->write, &ngx_posted_events);
    }
}

// As on_write(), but without the steps that are only needed if the state of the
// socket has changed.
std::size_t session::flush_posted() noexcept
{
    const bool paused = !receiving();
    const off_t sent_before = connection_->sent;

    flush_index_ = flush_list::npos;
    flush();

    const auto sent = static_cast<std::size_t>(connection_->sent - sent_before);

    if (paused) {
        read_if_possible();
    }

    if (paused || phase_ != phase::open || !connection_->write->ready) {
        rearm_or_finish();
    }

    return sent;
}

void session::prefetch() const noexcept
{
    __builtin_prefetch(&writer_);
    __builtin_prefetch(&phase_);
    __builtin_prefetch(&connection_);
}

void session::prefetch_connection() const noexcept
{
    __builtin_prefetch(connection_);
    __builtin_prefetch(connection_->write);
}

void session::resume_all_reads() noexcept
{
    ngx_queue_t *all = &this_worker().sessions;

    for (ngx_queue_t *at = ngx_queue_head(all); at != ngx_queue_sentinel(all);
         at = ngx_queue_next(at)) {
        from_link(at)->resume_read();
    }
}

// Edge-triggered events are not repeated for input that arrived meanwhile.
void session::resume_read() noexcept
{
    if (has_input()) {
        ngx_post_event(connection_->read, &ngx_posted_next_events);
    }
}

void session::read_if_possible() noexcept
{
    if (receiving() && has_input()) {
        read_turn();
    }
}

void session::on_timer() noexcept
{
    if (phase_ == phase::open) {
        check_idle();
        return;
    }

    on_close_timeout();
}

// In ms, by the clock of the day, which may be set at any time.
std::uint64_t session::time_to_token_end() const noexcept
{
    if (identity_ == nullptr || identity_->token == nullptr ||
        identity_->token->expires() == 0) {
        return std::numeric_limits<std::uint64_t>::max();
    }

    const std::uint64_t end =
        identity_->token->expires() + conf_.tokens->verifier.leeway;

    return end - std::min(end, wall_clock());
}

bool session::close_if_token_ended() noexcept
{
    if (time_to_token_end() != 0) {
        return false;
    }

    close(protocol::close_code::unauthorized, "unauthorized",
          close_initiator::server);
    return true;
}

bool session::replace_token(std::shared_ptr<const tokens::token> newer) noexcept
{
    if (identity_ == nullptr || identity_->token == nullptr ||
        identity_->token->subject() != newer->subject()) {
        return false;
    }

    identity_->token = std::move(newer);

    // A later end is found when the timer fires
    ngx_event_t *timer = connection_->read;
    const std::uint64_t left = time_to_token_end();
    const auto until_timer =
        static_cast<ngx_msec_int_t>(timer->timer.key - ngx_current_msec);

    if (phase_ == phase::open && timer->timer_set && until_timer > 0 &&
        left < static_cast<std::uint64_t>(until_timer)) {
        ngx_add_timer(timer, static_cast<ngx_msec_t>(left));
    }

    return true;
}

// The timer is not moved for each message. When it fires, the remaining time is
// computed from the last message.
void session::check_idle() noexcept
{
    const ngx_msec_t now = ngx_current_msec;

    if (!receiving() || has_input() || negotiated_.event_stream) {
        // The send timeout applies, because reading is paused or the client
        // sends nothing; or what has arrived is read after this event
        last_received_ = timestamp(now);
    }

    // Compared by difference, because the clock may wrap around
    if (shutting_down_ && static_cast<ngx_msec_int_t>(now - end_at_) >= 0) {
        close_for_shutdown();
        return;
    }

    if (close_if_token_ended()) {
        return;
    }

    const ngx_msec_t idle = last_received_.elapsed(now);

    if (idle >= conf_.timeout) {
        close(protocol::close_code::going_away,
              "nothing received within websocket_timeout",
              close_initiator::timeout);
        return;
    }

    auto next = static_cast<ngx_msec_t>(
        std::min<std::uint64_t>(conf_.timeout - idle, time_to_token_end()));

    if (conf_.ping_after != 0) {
        // Proxies close connections that are silent in either direction
        const ngx_msec_t quiet = std::min(
            std::max(idle, last_sent_.elapsed(now)), last_ping_.elapsed(now));

        if (quiet >= conf_.ping_after) {
            last_ping_ = timestamp(now);

            if (writer_.empty()) {
                write_ping({});
                flush();
            }

            next = std::min(next, conf_.ping_after);
        } else {
            next = std::min(next, conf_.ping_after - quiet);
        }
    }

    if (shutting_down_) {
        next = std::min(next, end_at_ - now);
    }

    if (phase_ == phase::open) {
        ngx_add_timer(connection_->read, next);
    }
}

} // namespace websocket::nginx
