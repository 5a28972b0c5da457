// The replica of one resource's Redis stream in a log of this host, kept by the
// leader.
//
// States: *subscribing* until Redis confirms the subscription of the channel.
// Then *syncing*: earlier messages are read from the stream, page by page, and
// new ones are deferred. Then *current*, until a message shows that some are
// missing, or a worker needs confirmation that all have arrived. After a failed
// sync the leader retries.
#pragma once

#include "broker/broker.hpp"
#include "nginx/redis_io/script_runner.hpp"
#include "redis/message.hpp"
#include "sdk/websocket_plugin.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

// Whether entries of that kind are messages, which alone are stored.
constexpr bool is_message(std::uint64_t kind) noexcept
{
    return kind == WEBSOCKET_TEXT || kind == WEBSOCKET_BINARY;
}

class replica {
public:
    // Shared by all replicas, and outlives them.
    struct environment {
        script_runner &redis;
        std::uint32_t link_generation = 0; // of the present link

        std::uint64_t last_sync_number = 0; // counts syncs

        // Runs the script; calls on_sync_reply() of the replica with that name,
        // if it still exists.
        bool (*request_sync)(environment &of, const script_call &call,
                             std::string_view name, std::uint64_t number);

        // Runs the script; calls invalidate_client_count() if Redis refuses.
        bool (*notify)(environment &of, const script_call &call,
                       std::string_view name);

        // Schedules notify_clients().
        void (*changed)(environment &of, std::string_view name);
    };

    replica(environment &shared, std::string_view name);

    // The subscription of the channel is confirmed. Throws std::bad_alloc, as
    // all functions that read or send.
    void subscribed();

    // A message of the channel.
    void on_message(std::string_view text);

    void on_sync_reply(const redisReply &reply, std::uint64_t number);

    // The connection was lost: starts again with the next subscription.
    void on_disconnect() noexcept;

    // Notifies the waiter with that token when all present messages have
    // arrived.
    void wait_for_sync(std::uint64_t token);

    // Announces the clients of this host to other hosts, if the number has
    // changed or `lost`.
    void notify_clients(bool lost);

    // Other hosts may not know the announced number any more.
    void invalidate_client_count() noexcept
    {
        announced_clients_ = unknown_count;
    }

    // The log is no longer followed: it has no clients here.
    void unfollow();

    // A worker may have seen the log as synchronized while it was about to be
    // unfollowed: confirms it with a sync.
    void keep_following();

    // Retries a failed sync.
    void retry_sync();

    // Renews the expiry of its keys in Redis.
    void keep_alive();

    const std::string &name() const noexcept { return name_; }
    bool current() const noexcept { return state_ == state::current; }

    // The time at which it was found unused, or 0.
    ngx_msec_t unused_since = 0;

private:
    enum class state : std::uint8_t { subscribing, syncing, failed, current };

    // A waiter gives up by itself after connect_timeout.
    struct waiter {
        std::uint64_t token;
        ngx_msec_t since;
    };

    static constexpr std::uint32_t unknown_count = UINT32_MAX;

    // replica_sync.cpp
    void sync();
    void apply_page(const redisReply &reply);
    void align_to(broker::message_id first, const broker::description &known);
    bool apply_entry(const redisReply &entry);
    void record_gap(broker::message_id before);

    // replica.cpp
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
    broker::message_id last_; // last message of the log, while syncing
    std::vector<std::string> deferred_; // received while not current
    std::size_t deferred_bytes_ = 0;
    bool deferred_dropped_ = false;    // some were dropped
    std::vector<waiter> next_waiters_; // for the next sync
    std::vector<waiter> sync_waiters_; // for the running sync
    std::uint64_t sync_number_ = 0;    // of the running sync; 0: none
    std::map<std::string, std::uint32_t, std::less<>> other_hosts_; // clients
    std::uint32_t announced_clients_ =
        unknown_count;          // clients here, as the others know
    bool lost_clients_ = false; // some were lost, not yet announced
};

} // namespace websocket::nginx
