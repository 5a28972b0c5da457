// Keeps a connection to Redis up: states, backoff, timeouts.
#include "nginx/redis_io/connection.hpp"

#include "nginx/redis_io/outage_log.hpp"
#include "nginx/redis_io/sentinel.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

// Half of the time is random, so that workers and hosts do not reconnect at the
// same time.
ngx_msec_t jittered(ngx_msec_t backoff) noexcept
{
    return backoff / 2 +
           static_cast<ngx_msec_t>(ngx_random()) % (backoff / 2 + 1);
}

outage_log outage;

} // namespace

redis_connection::redis_connection(const redis_settings &settings,
                                   const redis_target &target,
                                   redis_connection::owner &holder,
                                   role as) noexcept
    : settings_{settings}, target_{target}, owner_{holder}, role_{as},
      backoff_{min_backoff}
{
    sentinels_event_.handler = on_sentinels;
    sentinels_event_.data = this;
    sentinels_event_.log = ngx_cycle->log;
    timer_.handler = on_timer;
    timer_.data = this;
    timer_.log = ngx_cycle->log;
    timer_.cancelable = 1; // must not delay graceful shutdown
}

redis_connection::~redis_connection()
{
    if (socket_ != nullptr) {
        socket_->abandon(true);
        socket_ = nullptr;
    }

    close();
}

void redis_connection::open() noexcept
{
    if (state_ == state::closed) {
        state_ = state::backing_off;
        backoff_ = min_backoff;
        start_timer(0);
    }
}

void redis_connection::close() noexcept
{
    state_ = state::closed;
    lookup_.cancel();
    stop_timer();

    if (sentinels_ != nullptr) {
        sentinels_->remove(sentinels_event_);
        sentinels_.reset();
    }

    if (std::exchange(down_, false)) {
        outage.connection_closed();
    }

    if (redis_socket *left = std::exchange(socket_, nullptr); left != nullptr) {
        left->abandon(false);
    }
}

bool redis_connection::ready() const noexcept
{
    return state_ == state::ready && socket_->alive();
}

std::size_t redis_connection::unsent() const noexcept
{
    return socket_ == nullptr ? 0 : socket_->unsent();
}

bool redis_connection::command(std::span<const std::string_view> args,
                               reply_callback callback, void *data) noexcept
{
    if (!ready() || args.empty()) {
        return false;
    }

    if (!timer_.timer_set) {
        start_timer(settings_.command_timeout);
    }

    return role_ == role::subscriber || args[0] == "SUBSCRIBE"
               ? socket_->subscribe(args, callback, data)
               : socket_->command(args, callback, data);
}

void redis_connection::restart(std::string_view reason) noexcept
{
    if (state_ == state::ready) {
        socket_->end(reason);
    }
}

void redis_connection::reconnect(std::string_view reason) noexcept
{
    planned_reconnect_ = state_ == state::ready;
    restart(reason);
}

void redis_connection::retry_now() noexcept
{
    if (state_ == state::backing_off && !flapping_) {
        stop_timer();
        start_connecting();

    } else if (state_ == state::resolving || state_ == state::connecting) {
        retry_soon_ = true; // this attempt may have begun too early
    }
}

void redis_connection::flush() noexcept
{
    if (socket_ != nullptr) {
        socket_->flush();
    }
}

void redis_connection::on_ready() noexcept
{
    state_ = state::ready;
    retry_soon_ = false;
    ready_since_ = ngx_current_msec;
    stop_timer();

    if (pings()) {
        start_timer(settings_.command_timeout);
    }

    if (std::exchange(down_, false)) {
        outage.up(target_.name, sentinels_ == nullptr
                                    ? std::string_view{}
                                    : peers_[next_peer_].text);
    }

    owner_.on_redis_ready();
}

void redis_connection::socket_ended(std::string_view reason) noexcept
{
    socket_ = nullptr;
    stop_timer();

    try {
        reason_ = sanitize_reason(reason);
    } catch (const std::bad_alloc &) {
        reason_.clear();
    }

    if (state_ == state::ready) {
        on_failure();
        return;
    }

    next_peer_++;
    try_next_peer();
}

void redis_connection::on_failure() noexcept
{
    const bool was_ready = state_ == state::ready;

    if (!was_ready) {
        consult_sentinels();
    }

    // the owner may connect again
    const std::string reason = std::move(reason_);

    // A connection that breaks again and again has not recovered
    if (was_ready && ngx_current_msec - ready_since_ >= max_backoff) {
        backoff_ = min_backoff;
    }

    if (std::exchange(retry_soon_, false)) {
        backoff_ = min_backoff;
    }

    flapping_ = was_ready && ngx_current_msec - ready_since_ < max_backoff;
    state_ = state::backing_off;
    start_timer(jittered(backoff_));
    backoff_ = std::min(2 * backoff_, max_backoff);

    if (role_ == role::commands || role_ == role::subscriber) {
        log_down(was_ready, reason);
    }

    owner_.on_redis_lost(reason);
}

void redis_connection::log_down(bool was_ready,
                                std::string_view reason) noexcept
{
    if (!std::exchange(down_, true)) {
        outage.down();
    }

    outage.log_down(target_.name, was_ready, reason,
                    std::exchange(planned_reconnect_, false) ? NGX_LOG_NOTICE
                                                             : NGX_LOG_ERR);
}

// Nothing else shows that the server is gone before it is needed. Redis
// (`timeout`), proxies and firewalls also end a connection that is silent for
// too long.
bool redis_connection::pings() const noexcept
{
    return role_ == role::subscriber || role_ == role::commands;
}

void redis_connection::ping() noexcept
{
    const std::string_view args[] = {"PING"};

    if (role_ == role::subscriber) {
        socket_->ping();
    } else {
        (void)socket_->command(args, nullptr, nullptr);
    }
}

void redis_connection::check_command_timeout() noexcept
{
    const ngx_msec_t waiting = socket_->waiting();

    if (socket_->unanswered() == 0) {
        if (pings()) {
            ping();
            start_timer(settings_.command_timeout);
        }
        return;
    }

    if (waiting >= settings_.command_timeout) {
        socket_->end("no reply within command_timeout");

    } else {
        start_timer(settings_.command_timeout - waiting);
    }
}

void redis_connection::on_timer(ngx_event_t *event) noexcept
{
    auto &self = *static_cast<redis_connection *>(event->data);

    switch (self.state_) {
    case state::backing_off:
        self.start_connecting();
        break;

    case state::connecting:
        self.socket_->end("not ready within connect_timeout");
        break;

    case state::ready:
        self.check_command_timeout();
        break;

    default:
        break;
    }
}

void redis_connection::start_timer(ngx_msec_t time) noexcept
{
    ngx_add_timer(&timer_, time);
}

void redis_connection::stop_timer() noexcept
{
    if (timer_.timer_set) {
        ngx_del_timer(&timer_);
    }
}

} // namespace websocket::nginx
