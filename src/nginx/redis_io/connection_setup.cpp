// Finds the addresses or the master, connects to one, authenticates and selects
// the database.
#include "nginx/redis_io/connection.hpp"

#include "nginx/redis_io/replies.hpp"
#include "nginx/redis_io/sentinel.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

// Redis's own errors are shorter.
constexpr std::size_t max_reason_size = 200;

} // namespace

void redis_connection::start_connecting() noexcept
{
    next_peer_ = 0;

    if (!target_.address.sentinels.empty()) {
        ask_sentinels();

    } else if (find_literal_peer()) {
        try_next_peer();

    } else if (settings_.resolver != nullptr) {
        state_ = state::resolving;
        lookup_.start(settings_, target_.address, on_resolved, this);

    } else {
        on_resolved(this, nullptr, "no resolver");
    }
}

// Uses what the sentinels have answered, or waits for it.
void redis_connection::ask_sentinels() noexcept
try {
    state_ = state::resolving;
    peers_.clear();
    reason_.clear();

    if (sentinels_ == nullptr) {
        auto group = sentinel_group::of(settings_);

        group->add(sentinels_event_);
        sentinels_ = std::move(group);
    }

    use_masters();

} catch (const std::bad_alloc &) {
    reason_ = "no memory";
    on_failure();
}

void redis_connection::use_masters()
{
    peers_ = sentinels_->masters();

    if (!peers_.empty() || !sentinels_->asking()) {
        seen_answers_ = sentinels_->version();
        try_next_peer();
    }
}

void redis_connection::on_sentinels(ngx_event_t *event) noexcept
try {
    auto &self = *static_cast<redis_connection *>(event->data);

    if (self.state_ == state::resolving) {
        self.use_masters();

    } else if (self.seen_answers_ != self.sentinels_->version()) {
        self.follow_sentinels();
    }
} catch (const std::bad_alloc &) {
    // The next answer, or the next failure, calls it again
}

// Moves to another master at once, unless the one in use is of a newer
// configuration.
void redis_connection::follow_sentinels()
{
    const std::vector<redis_peer> masters = sentinels_->masters();

    seen_answers_ = sentinels_->version();

    if (masters.empty()) {
        return;
    }

    if (state_ == state::backing_off) {
        backoff_ = min_backoff;
        stop_timer();
        start_connecting();
        return;
    }

    const redis_peer &used = peers_[next_peer_];

    if (masters[0].text == used.text || masters[0].epoch < used.epoch) {
        return;
    }

    backoff_ = min_backoff;

    if (state_ == state::ready) {
        reconnect("the sentinels name another master: " + masters[0].text);
    } else {
        stop_timer();
        std::exchange(socket_, nullptr)->abandon(true);
        start_connecting();
    }
}

// Adds to the reason of a failure what the sentinels have answered, and asks
// them again.
void redis_connection::consult_sentinels() noexcept
try {
    if (sentinels_ != nullptr) {
        reason_ += (reason_.empty() ? "" : "; ") + sentinels_->describe();
        sentinels_->ask();
    }
} catch (const std::bad_alloc &) {
    sentinels_->ask();
}

// Whether the target is an address or a Unix socket.
bool redis_connection::find_literal_peer() noexcept
try {
    const std::unique_ptr<ngx_pool_t, decltype(&ngx_destroy_pool)> pool{
        ngx_create_pool(1024, ngx_cycle->log), ngx_destroy_pool};

    return pool != nullptr &&
           find_peers(pool.get(), target_.address, false, peers_, reason_) &&
           !peers_.empty();

} catch (const std::bad_alloc &) {
    return false;
}

// If the lookup failed, uses the addresses that the configuration found.
void redis_connection::on_resolved(void *data, std::vector<redis_peer> *peers,
                                   std::string_view reason) noexcept
{
    auto &self = *static_cast<redis_connection *>(data);

    try {
        self.reason_.assign("cannot resolve its name: ").append(reason);

        if (peers != nullptr) {
            self.peers_ = std::move(*peers);
        } else {
            self.peers_ = self.target_.peers;
        }
    } catch (const std::bad_alloc &) {
        self.peers_.clear();
    }

    self.try_next_peer();
}

// Tries the remaining peers until a connection attempt begins.
void redis_connection::try_next_peer() noexcept
{
    while (next_peer_ < peers_.size()) {
        if (connect_to_peer()) {
            state_ = state::connecting;
            start_timer(settings_.connect_timeout);
            return;
        }

        next_peer_++;
    }

    on_failure();
}

bool redis_connection::connect_to_peer() noexcept
try {
    std::string reason;

    const redis_peer &peer = peers_[next_peer_];

    socket_ = redis_socket::connect(
        *this, settings_, peer,
        settings_.server_name.empty() ? peer.host : settings_.server_name,
        reason);

    if (socket_ == nullptr) {
        reason_ = sanitize_reason(reason);
        return false;
    }

    if (!send_setup_commands()) {
        std::exchange(socket_, nullptr)->abandon(true);
        reason_ = "no memory";
        return false;
    }

    return true;

} catch (const std::bad_alloc &) {
    return false;
}

// Sends all commands at once. PING detects a server that is still loading, or
// requires a password that is not configured. A sentinel that requires no
// password refuses AUTH, so its reply does not matter.
bool redis_connection::send_setup_commands() noexcept
{
    const redis::server_address &target = settings_.server.address;
    std::array<char, 16> digits;
    const u_char *end = ngx_snprintf(reinterpret_cast<u_char *>(digits.data()),
                                     digits.size(), "%ud", target.database);
    const std::string_view auth[] = {"AUTH", target.user, target.password};
    const std::string_view short_auth[] = {"AUTH", target.password};
    const std::string_view select[] = {
        "SELECT", {digits.data(), reinterpret_cast<const char *>(end)}};
    const std::string_view ping[] = {"PING"};
    const std::string_view role[] = {"ROLE"};
    const bool to_sentinel = role_ == role::sentinel;
    bool sent = true;

    setup_replies_left_ = 0;

    const auto send = [&](std::span<const std::string_view> args,
                          reply_callback callback = on_setup_reply) {
        setup_replies_left_++;
        sent = sent && socket_->command(args, callback, this);
    };

    if (!target.user.empty()) {
        send(auth, to_sentinel ? on_optional_reply : on_setup_reply);
    } else if (!target.password.empty()) {
        send(short_auth, to_sentinel ? on_optional_reply : on_setup_reply);
    }

    if (target.database != 0 && !to_sentinel) {
        send(select);
    }

    send(ping);

    if (sentinels_ != nullptr) {
        send(role, on_role_reply);
    }

    return sent;
}

void redis_connection::on_optional_reply(void *data,
                                         const redisReply *reply) noexcept
{
    auto &self = *static_cast<redis_connection *>(data);

    if (reply != nullptr && self.socket_->alive() &&
        --self.setup_replies_left_ == 0) {
        self.on_ready();
    }
}

void redis_connection::on_setup_reply(void *data,
                                      const redisReply *reply) noexcept
{
    auto &self = *static_cast<redis_connection *>(data);

    if (reply != nullptr && reply->type == REDIS_REPLY_ERROR) {
        self.socket_->end(error_in(reply));
    }

    on_optional_reply(data, reply);
}

// The server that sentinels name may have become a replica since, or never have
// been a master.
void redis_connection::on_role_reply(void *data,
                                     const redisReply *reply) noexcept
{
    auto &self = *static_cast<redis_connection *>(data);
    const auto parts = list_in(reply);

    if (reply != nullptr && reply->type != REDIS_REPLY_ERROR &&
        (parts.empty() || text_in(parts[0]) != "master")) {
        self.socket_->end("it is not a master, as ROLE shows");
    }

    on_setup_reply(data, reply);
}

// Returns one printable line, with the address if there are several. Some
// servers repeat in an error what they were sent: passwords are masked.
std::string redis_connection::sanitize_reason(std::string_view reason) const
{
    const std::string &password = settings_.server.address.password;
    std::string text{reason};
    std::size_t at = 0;

    while (!password.empty() && (at = text.find(password, at)) != text.npos) {
        text.replace(at, password.size(), "***");
        at += 3;
    }

    text.resize(std::min(text.size(), max_reason_size));

    std::replace_if(
        text.begin(), text.end(),
        [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');

    if (!target_.address.is_unix && next_peer_ < peers_.size() &&
        peers_[next_peer_].text != target_.address.host) {
        text.insert(0, peers_[next_peer_].text + ": ");
    }

    return text;
}

} // namespace websocket::nginx
