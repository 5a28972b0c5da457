// Connects to one of the addresses, authenticates and selects the database.
#include "nginx/redis_io/connection.hpp"

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

    if (find_literal_peer()) {
        try_next_peer();

    } else if (settings_.resolver != nullptr) {
        state_ = state::resolving;
        lookup_.start(settings_, on_resolved, this);

    } else {
        on_resolved(this, nullptr, "no resolver");
    }
}

// Whether the target is an address or a Unix socket.
bool redis_connection::find_literal_peer() noexcept
try {
    const std::unique_ptr<ngx_pool_t, decltype(&ngx_destroy_pool)> pool{
        ngx_create_pool(1024, ngx_cycle->log), ngx_destroy_pool};

    return pool != nullptr &&
           find_peers(pool.get(), settings_.target, false, peers_, reason_) &&
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

        self.peers_ =
            peers != nullptr ? std::move(*peers) : self.settings_.peers;
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

    socket_ = redis_socket::connect(*this, settings_, peers_[next_peer_],
                                    settings_.server_name.empty()
                                        ? settings_.target.host
                                        : settings_.server_name,
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
// requires a password that is not configured.
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
        sent = sent && socket_->command(args, on_setup_reply, this);
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

    if (reply == nullptr || !self.socket_->alive()) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        self.socket_->end({reply->str, reply->len});

    } else if (--self.setup_replies_left_ == 0) {
        self.on_ready();
    }
}

// Returns one printable line, with the address if there are several. Some
// servers repeat in an error what they were sent: passwords are masked.
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

    if (!target.is_unix && next_peer_ < peers_.size() &&
        peers_[next_peer_].text != target.host) {
        text.insert(0, peers_[next_peer_].text + ": ");
    }

    return text;
}

} // namespace websocket::nginx
