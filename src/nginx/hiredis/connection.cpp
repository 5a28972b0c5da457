// Keeps a connection to Redis up.
#include "nginx/hiredis/connection.hpp"

#include "nginx/hiredis/outage_log.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

constexpr ngx_msec_t min_backoff = 100;
constexpr ngx_msec_t max_backoff = 5000;

// Half of it is left to chance, so that many workers and hosts do not come
// back as one.
ngx_msec_t jittered(ngx_msec_t backoff) noexcept
{
    return backoff / 2 +
           static_cast<ngx_msec_t>(ngx_random()) % (backoff / 2 + 1);
}

// The longest reason that is told: Redis's own are shorter.
constexpr std::size_t max_reason_size = 200;

outage_log outage;

} // namespace

redis_connection::redis_connection(const redis_settings &settings,
                                   redis_connection::owner &holder,
                                   role as) noexcept
    : settings_{settings}, owner_{holder}, role_{as}, backoff_{min_backoff}
{
    timer_.handler = on_timer;
    timer_.data = this;
    timer_.log = ngx_cycle->log;
    timer_.cancelable = 1; // it does not keep a leaving worker
}

redis_connection::~redis_connection()
{
    if (context_ != nullptr) {
        context_->abandon(true);
        context_ = nullptr;
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

    if (std::exchange(down_, false)) {
        outage.connection_closed();
    }

    if (redis_context *left = std::exchange(context_, nullptr);
        left != nullptr) {
        left->abandon(false);
    }
}

bool redis_connection::ready() const noexcept
{
    return state_ == state::ready && context_->alive();
}

std::size_t redis_connection::unsent() const noexcept
{
    return context_ == nullptr ? 0 : context_->unsent();
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

    if (role_ == role::commands) {
        return context_->command(args, callback, data);
    }

    if (args[0] == "SUBSCRIBE") {
        return context_->subscribe(args.subspan(1), callback, data);
    }

    return args[0] == "UNSUBSCRIBE" && context_->unsubscribe(args.subspan(1));
}

void redis_connection::restart(std::string_view reason) noexcept
{
    if (state_ == state::ready) {
        context_->end(reason);
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
    }
}

void redis_connection::flush() noexcept
{
    if (context_ != nullptr) {
        context_->flush();
    }
}

void redis_connection::start_connecting() noexcept
{
    next_address_ = 0;

    if (settings_.resolver != nullptr) {
        state_ = state::resolving;
        lookup_.start(settings_, on_resolved, this);
        return;
    }

    on_resolved(this, nullptr, {});
}

// Without an answer what the configuration found is as good as it gets.
void redis_connection::on_resolved(void *data,
                                   std::vector<std::string> *addresses,
                                   std::string_view reason) noexcept
{
    auto &self = *static_cast<redis_connection *>(data);

    try {
        self.reason_.assign("its name could not be resolved: ").append(reason);
        self.addresses_ =
            addresses == nullptr ? self.settings_.addresses : *addresses;
    } catch (const std::bad_alloc &) {
        self.addresses_.clear();
    }

    self.try_next_address();
}

// From the next one on, until one is on its way.
void redis_connection::try_next_address() noexcept
{
    const std::size_t all = settings_.target.is_unix ? 1 : addresses_.size();

    while (next_address_ < all) {
        if (connect_to_address()) {
            state_ = state::connecting;
            start_timer(settings_.connect_timeout);
            return;
        }

        next_address_++;
    }

    on_failure();
}

bool redis_connection::connect_to_address() noexcept
try {
    const redis::server_address &target = settings_.target;
    std::string reason;

    context_ = target.is_unix
                   ? redis_context::connect_unix(*this, target.path, reason)
                   : redis_context::connect_tcp(
                         *this, addresses_[next_address_], target.port, reason);

    if (context_ == nullptr) {
        reason_ = sanitize_reason(reason);
        return false;
    }

    if (!send_setup_commands()) {
        std::exchange(context_, nullptr)->abandon(true);
        reason_ = "no memory";
        return false;
    }

    return true;

} catch (const std::bad_alloc &) {
    return false;
}

// In one piece. The last is there for a server that is still loading, or wants
// a password that it is not given.
bool redis_connection::send_setup_commands() noexcept
{
    const redis::server_address &target = settings_.target;
    std::array<char, 16> digits;
    const u_char *end = ngx_snprintf(reinterpret_cast<u_char *>(digits.data()),
                                     digits.size(), "%ud", target.database);
    const std::string_view auth[] = {"AUTH", target.user, target.password};
    const std::string_view short_auth[] = {"AUTH", target.password};
    const std::string_view select[] = {
        "SELECT", {digits.data(), reinterpret_cast<const char *>(end)}};
    const std::string_view ping[] = {"PING"};
    bool sent = true;

    setup_replies_left_ = 0;

    const auto send = [&](std::span<const std::string_view> args) {
        setup_replies_left_++;
        sent = sent && context_->command(args, on_setup_reply, this);
    };

    if (!target.user.empty()) {
        send(auth);
    } else if (!target.password.empty()) {
        send(short_auth);
    }

    if (target.database != 0) {
        send(select);
    }

    send(ping);
    return sent;
}

void redis_connection::on_setup_reply(void *data,
                                      const redisReply *reply) noexcept
{
    auto &self = *static_cast<redis_connection *>(data);

    if (reply == nullptr || !self.context_->alive()) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        self.context_->end({reply->str, reply->len});

    } else if (--self.setup_replies_left_ == 0) {
        self.on_ready();
    }
}

void redis_connection::on_ready() noexcept
{
    state_ = state::ready;
    ready_since_ = ngx_current_msec;
    connects_++;
    stop_timer();

    if (std::exchange(down_, false)) {
        outage.up(settings_);
    }

    owner_.on_redis_ready();
}

void redis_connection::context_ended(std::string_view reason) noexcept
{
    context_ = nullptr;
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

    next_address_++;
    try_next_address();
}

void redis_connection::on_failure() noexcept
{
    const std::string reason = std::move(reason_); // the owner may begin anew
    const bool was_ready = state_ == state::ready;

    // One that breaks again and again has not recovered
    if (was_ready && ngx_current_msec - ready_since_ >= max_backoff) {
        backoff_ = min_backoff;
    }

    flapping_ = was_ready && ngx_current_msec - ready_since_ < max_backoff;
    state_ = state::backing_off;
    start_timer(jittered(backoff_));
    backoff_ = std::min(2 * backoff_, max_backoff);

    if (!std::exchange(down_, true)) {
        outage.down();
    }

    outage.log_down(settings_, was_ready, reason,
                    std::exchange(planned_reconnect_, false) ? NGX_LOG_NOTICE
                                                             : NGX_LOG_ERR);
    owner_.on_redis_lost(reason);
}

void redis_connection::check_command_timeout() noexcept
{
    const ngx_msec_t waiting = context_->waiting();

    if (context_->unanswered() == 0) {
        return;
    }

    if (waiting >= settings_.command_timeout) {
        context_->end("no answer within command_timeout");

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
        self.context_->end("not ready within connect_timeout");
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

// One line, with the address if there is a choice. Some servers repeat in an
// error what they have been sent.
std::string redis_connection::sanitize_reason(std::string_view reason) const
{
    const redis::server_address &target = settings_.target;
    std::string text{reason};
    std::size_t at = 0;

    while (!target.password.empty() &&
           (at = text.find(target.password, at)) != text.npos) {
        text.replace(at, target.password.size(), "***");
        at += 3;
    }

    text.resize(std::min(text.size(), max_reason_size));

    std::replace_if(
        text.begin(), text.end(),
        [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');

    if (next_address_ < addresses_.size() &&
        addresses_[next_address_] != target.host) {
        text.insert(0, addresses_[next_address_] + ": ");
    }

    return text;
}

} // namespace websocket::nginx
