// One log that the leader of this host follows: what Redis has of a resource's
// messages is put into the log that the host's workers share.
//
// It is *subscribing* until Redis has begun to send the resource's channel,
// then *syncing*: what came before is read from the stream, page by page, and
// what comes meanwhile waits; then *current*, until a message shows that some
// are missing, or somebody has to know that he has all up to now. A failed
// sync is tried again by the leader.
#pragma once

#include "broker/broker.hpp"
#include "nginx/hiredis/script_runner.hpp"
#include "redis/message.hpp"
#include "sdk/websocket_plugin.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

// Whether an entry of that kind is a message: the only ones that are stored.
constexpr bool is_message(std::uint64_t kind) noexcept
{
    return kind == WEBSOCKET_TEXT || kind == WEBSOCKET_BINARY;
}

class replica {
public:
    // What all of them share: it outlives them.
    struct environment {
        script_runner &redis;
        std::uint32_t link_generation = 0; // the number of the host's link now

        std::uint64_t last_sync_number = 0; // syncs, so far

        // Calls sync_answered() of the log of that name, if it is still there.
        bool (*request_sync)(environment &of, const script_call &call,
                             std::string_view name, std::uint64_t number);

        // The same, and doubt_clients() if Redis refuses.
        bool (*notify)(environment &of, const script_call &call,
                       std::string_view name);

        // Has tell_clients() called soon.
        void (*changed)(environment &of, std::string_view name);
    };

    replica(environment &shared, std::string_view name);

    // The channel is subscribed to. Throws std::bad_alloc, as all that read
    // or ask.
    void subscribed();

    // What came through the channel.
    void on_message(std::string_view text);

    void on_sync_reply(const redisReply &reply, std::uint64_t number);

    // Redis is out of reach: all begins with the next subscription.
    void on_disconnect() noexcept;

    // Somebody, by his token, waits until he has all that is there now.
    void wait_for_sync(std::uint64_t token);

    // A handshake may have changed the number of clients, or they were lost:
    // tells the other hosts, if it is another one than they know.
    void notify_clients(bool lost);

    // For tell_clients(): they may have forgotten.
    void invalidate_client_count() noexcept
    {
        announced_clients_ = unknown_count;
    }

    // It is not followed any more: nobody here has clients of it.
    void unfollow();

    // Somebody may have found it linked while it was to be left.
    void keep_following();

    // If a sync has failed.
    void retry_sync();

    // Has Redis keep what it has of the resource.
    void keep_alive();

    const std::string &name() const noexcept { return name_; }
    bool current() const noexcept { return state_ == state::current; }

    // When it was found unused, or 0.
    ngx_msec_t unused_since = 0;

private:
    enum class state : std::uint8_t { subscribing, syncing, failed, current };

    // Who made it gives up after a while.
    struct waiter {
        std::uint64_t token;
        ngx_msec_t since;
    };

    static constexpr std::uint32_t unknown_count = UINT32_MAX;

    // followed_sync.cpp
    void sync();
    void apply_page(const redisReply &reply);
    void align_to(broker::message_id first, const broker::description &known);
    bool apply_entry(const redisReply &entry);
    void record_gap(broker::message_id before);

    // followed_log.cpp
    void drop_expired(std::vector<waiter> &waiters) const noexcept;
    void finish_sync();
    void notify_waiters();
    bool notify(std::string_view clients, bool lost);
    void handle(const redis::channel_message &message);
    void append_external(const redis::channel_message &message);
    void append_transient(std::uint8_t kind, std::uint64_t from,
                          std::string_view payload) noexcept;
    void update_host_clients(std::string_view host, std::uint32_t clients,
                             bool lost);
    void update_remote_clients() noexcept;

    environment &shared_;
    const std::string name_;
    state state_ = state::subscribing;
    broker::message_id last_;           // that the log has, while it is syncing
    std::vector<std::string> deferred_; // came while it was not current
    std::size_t deferred_bytes_ = 0;
    bool deferred_dropped_ = false;    // some of it was too much
    std::vector<waiter> next_waiters_; // of those who wait for the next sync
    std::vector<waiter> sync_waiters_; // for the one that is under way
    std::uint64_t sync_number_ = 0;    // its number; 0: none is
    std::map<std::string, std::uint32_t, std::less<>> other_hosts_; // clients
    std::uint32_t announced_clients_ =
        unknown_count;          // clients here, as the others know
    bool lost_clients_ = false; // some of them, and the others are to be told
};

} // namespace websocket::nginx
