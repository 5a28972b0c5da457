// Flushing what a session sends, and how it comes to its end.
#include "nginx/session.hpp"

#include "nginx/drain.hpp"
#include "nginx/figures.hpp"
#include "nginx/transport.hpp"
#include "nginx/worker.hpp"
#include "protocol/close_code.hpp"
#include "protocol/utf8.hpp"

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

namespace websocket::nginx {

void session::close(std::uint16_t code, std::string_view reason,
                    ended_by who) noexcept
{
    if (phase_ != phase::open) {
        return;
    }

    write_control(endpoint_.begin_close(code, reason));
    record_end(code, protocol::close_reason(reason), who);
    enter(phase::closing);
}

void session::write_control(const protocol::control_frame &frame) noexcept
{
    if (!frame.empty()) {
        // If that fails, the next flush() ends the session
        (void)output_.write_bytes(frame.bytes());
    }
}

void session::write_ping(std::span<const std::byte> payload) noexcept
{
    write_control({protocol::opcode::ping, payload});

    if (unanswered_pings_ != std::numeric_limits<std::uint16_t>::max()) {
        unanswered_pings_++;
    }
}

// Sends what can be sent, and goes on to what follows when all is sent.
void session::flush() noexcept
{
    ngx_event_t *wev = connection_->write;
    const off_t sent_before = connection_->sent;

    if (phase_ == phase::ended) {
        return;
    }

    const ngx_int_t rc = output_.flush();
    const bool progressed = connection_->sent != sent_before;

    if (rc == NGX_ERROR) {
        connection_broke();
        return;
    }

    if (rc == NGX_AGAIN) {
        backed_up_ = true;

        if (progressed || !wev->timer_set) {
            ngx_add_timer(wev, conf_.send_timeout);
        }

        // A client that reads on, however slowly, shall get its Close frame
        if (progressed && phase_ != phase::open && !worker_leaving_) {
            ngx_add_timer(connection_->read, conf_.close_timeout);
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

    if (std::exchange(backed_up_, false) && phase_ == phase::open &&
        handler().client_drained != nullptr) {
        judge(handler().client_drained(resource_->object(), client_));
    }
}

// When the event at hand is over.
void session::flush_later() noexcept
{
    if (!this_worker().flushes.add(*this, flush_place_)) {
        ngx_post_event(connection_->write, &ngx_posted_events);
    }
}

// As on_write(), but for what only a change of the socket's state calls for.
void session::flush_posted() noexcept
{
    const bool paused = !receiving();

    flush_place_ = flush_list::nowhere;
    flush();

    if (paused) {
        resume_reading();
    }

    if (phase_ == phase::ended || !connection_->write->ready) {
        wait_for_events();
    }
}

void session::fetch() const noexcept
{
    __builtin_prefetch(&output_);
    __builtin_prefetch(&phase_);
    __builtin_prefetch(&connection_);
}

void session::fetch_connection() const noexcept
{
    __builtin_prefetch(connection_);
    __builtin_prefetch(connection_->write);
}

void session::resume_reading() noexcept
{
    if (receiving() && connection_->read->ready) {
        read_turn();
    }
}

void session::send_timed_out() noexcept
{
    connection_->timedout = 1;
    figures::add(figures::slow_closes);
    record_end(protocol::close_code::abnormal,
               "client does not read what is sent", ended_by::timeout);
    phase_ = phase::ended;
}

void session::connection_broke() noexcept
{
    connection_->error = 1;
    record_end(protocol::close_code::abnormal, "", ended_by::error);
    phase_ = phase::ended;
}

// The first cause is the one that counts.
void session::record_end(std::uint16_t code, std::string_view reason,
                         ended_by who) noexcept
{
    if (closed_by_ != ended_by::nobody) {
        return;
    }

    closed_by_ = who;
    close_code_ = code;
    figures::closed(code, who == ended_by::client);

    if (reason.empty()) {
        return;
    }

    // A Close frame has room for less, and so have our own words
    constexpr std::size_t most = std::numeric_limits<std::uint8_t>::max();
    const std::size_t size = std::min(reason.size(), most);

    close_reason_.reset(new (std::nothrow) char[size]);

    if (close_reason_) {
        ngx_memcpy(close_reason_.get(), reason.data(), size);
        close_reason_size_ = static_cast<std::uint8_t>(size);
    }
}

// Goes on towards the end. The time that is left counts from the first step.
void session::enter(phase next) noexcept
{
    if (phase_ == phase::open) {
        ngx_add_timer(connection_->read, conf_.close_timeout);
    }

    phase_ = next;

    if (!in_turn_) {
        flush_later();
    }
}

// If the socket were closed while input is unread, the peer would be reset
// before it has read our Close frame.
void session::linger() noexcept
{
    if (peer_finished_) {
        phase_ = phase::ended;
        return;
    }

    leave(); // all was said: the handler need not wait for the socket's end
    phase_ = phase::lingering;
    connection_->log_error = NGX_ERROR_IGNORE_ECONNRESET; // all was said

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
    session *self = &this_worker().sessions_of[c];

    self->listen();
    ngx_add_timer(c->read, self->conf_.close_timeout);

    if (c->timedout || c->error) {
        self->phase_ = phase::ended;
    } else {
        self->linger();
    }

    self->wait_for_events();
}

ngx_int_t session::half_close() noexcept
{
    return transport::half_close(connection_, on_tls_shut);
}

void session::timer_fired() noexcept
{
    if (phase_ == phase::open) {
        check_idle();
        return;
    }

    connection_->timedout = 1;
    phase_ = phase::ended;
}

// The timer is not moved with each message: when it fires, the time of the
// last one tells how long is left.
void session::check_idle() noexcept
{
    const ngx_msec_t now = ngx_current_msec;

    if (!receiving()) {
        last_received_ = now; // we do not listen: the send timeout counts
    }

    // The difference, as the clock may wrap around
    if (worker_leaving_ && static_cast<ngx_msec_int_t>(now - leave_at_) >= 0) {
        close_for_leaving();
        return;
    }

    const ngx_msec_t idle = now - last_received_;

    if (idle >= conf_.timeout) {
        close(protocol::close_code::going_away, "nothing received for too long",
              ended_by::timeout);
        return;
    }

    ngx_msec_t next = conf_.timeout - idle;

    if (conf_.ping_interval != 0) {
        const ngx_msec_t quiet = std::min(idle, now - last_ping_);

        if (quiet >= conf_.ping_interval) {
            last_ping_ = now;

            if (output_.waiting() == 0) {
                write_ping({});
                flush();
            }

            next = std::min(next, conf_.ping_interval);
        } else {
            next = std::min(next, conf_.ping_interval - quiet);
        }
    }

    if (worker_leaving_) {
        next = std::min(next, leave_at_ - now);
    }

    if (phase_ == phase::open) {
        ngx_add_timer(connection_->read, next);
    }
}

// A graceful quit asks each session once: one that is open goes on until its
// turn has come. When worker_shutdown_timeout is over, nginx marks the
// connection as broken and asks again.
void session::worker_is_leaving() noexcept
{
    ngx_connection_t *c = connection_;

    c->close = 0;
    c->idle = 0;
    worker_leaving_ = true;
    figures::drains();

    if (c->error) {
        last_words();
        return;
    }

    if (phase_ != phase::open) {
        return;
    }

    leave_at_ = drain::next_turn();

    if (c->read->timer_set) {
        ngx_del_timer(c->read); // nginx would not move it by a little
    }

    check_idle();
}

void session::close_for_leaving() noexcept
{
    close(drain::code(), "server is shutting down", ended_by::server);
    flush();
}

// There is no more time: the Close frame goes out as far as the connection
// takes it, and that is the end.
void session::last_words() noexcept
{
    close_for_leaving();

    if (output_.waiting() != 0) {
        connection_->error = 1; // behind a stuck record TLS cannot end either
    }

    if (phase_ == phase::closing || phase_ == phase::flushing) {
        // With input unread the socket's end would eat the Close frame
        (void)half_close();
        discard_input();
    }

    phase_ = phase::ended;
}

} // namespace websocket::nginx
