// The replica of one resource in a log of this host, kept by the leader.
//
// It begins *waiting* until the log of its shard has been read, and applies the
// messages that follow those of an earlier leader. Then *syncing*: the
// position, the history and the clients of the other hosts are read, page by
// page, and entries of the shard's log are deferred. Then *current*: it applies
// these entries, until one shows that messages are missing. It is *due* for
// another sync when one has failed, or when the shard has lost entries. The
// leader begins these syncs, some at a time.
#pragma once

#include "broker/broker.hpp"
#include "nginx/backplane/shard_call.hpp"
#include "nginx/backplane/shard_reader.hpp"
#include "nginx/backplane/sync_waiters.hpp"
#include "nginx/redis_nodes/router.hpp"
#include "redis/log_entry.hpp"
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
    const std::uint64_t known = kind & ~std::uint64_t{kind_with_user};

    return known == WEBSOCKET_TEXT || known == WEBSOCKET_BINARY;
}

// A host that has not renewed its lease for this time has none.
inline constexpr ngx_msec_t host_lease = 10'000;

class replica {
public:
    // Implemented by the leader.
    struct environment {
        // Runs the script; calls on_sync_reply() of the replica with that name,
        // if it still exists. False: not connected.
        virtual bool request_sync(const shard_call &call, std::string_view name,
                                  std::uint64_t number) = 0;

        // Runs the script; calls invalidate_client_count(lost) if Redis refuses
        // or the connection is lost. False: not connected.
        virtual bool notify(const shard_call &call, std::string_view name,
                            bool lost) = 0;

        // Sends the users that are in the resource on this host. `quiet`: the
        // other hosts know them, if Redis does not.
        virtual void register_users(std::string_view name, bool quiet) = 0;

        // Schedules notify_clients().
        virtual void schedule_notify(std::string_view name) = 0;

        virtual shard_reader &reader(unsigned shard) noexcept = 0;

        environment(shard_router &runner) noexcept : redis{runner} {}

        shard_router &redis;
        std::uint32_t link_generation = 0;  // of the present link
        std::uint64_t last_sync_number = 0; // counts syncs

    protected:
        ~environment() = default;
    };

    replica(environment &shared, std::string_view name);

    // Begins the first sync, or one that is due: entries of the shard's log
    // that follow arrive. Throws std::bad_alloc, as all functions that read or
    // send.
    void start();

    // An entry of the shard's log.
    void on_entry(const redis::log_entry &entry, std::string_view text,
                  broker::message_id id);

    // The shard has lost its entries behind `since`: a sync is due.
    void on_shard_loss(broker::message_id since) noexcept;

    // The log of the shard has been read.
    void on_shard_current();

    // The same since shard_reader::confirm() was called.
    void on_confirmed();

    void on_sync_reply(const redisReply &reply, std::uint64_t number);

    // The replies that it waits for will not come.
    void on_disconnect() noexcept;

    // Notifies the waiter with that token when all present messages have
    // arrived.
    void wait_for_sync(std::uint64_t token);

    // Announces the clients of this host to other hosts, if the number has
    // changed or `lost`.
    void notify_clients(bool lost);

    // The number that was announced, or "".
    std::string announced_clients() const
    {
        return state_ != state::current || announced_clients_ == unknown_count
                   ? std::string{}
                   : std::to_string(announced_clients_);
    }

    // Other hosts may not know the announced number any more.
    void invalidate_client_count(bool lost) noexcept
    {
        announced_clients_ = unknown_count;
        lost_clients_ = lost_clients_ || lost;
    }

    // The log is no longer followed: it has no clients here.
    void unfollow();

    // A worker may have seen the log as synchronized while it was about to be
    // unfollowed: confirms it with a sync.
    void keep_following();

    // To be called every second: removes hosts that have not announced
    // themselves after Redis lost them.
    void every_second();

    bool sync_is_due() const noexcept { return state_ == state::due; }

    // The expiry of its keys in Redis, in milliseconds.
    std::uint64_t lifetime() const noexcept;

    const std::string &name() const noexcept { return name_; }
    unsigned shard() const noexcept { return shard_; }

    // The time at which it was found unused, or 0.
    ngx_msec_t unused_since = 0;

private:
    enum class state : std::uint8_t { waiting, syncing, due, current };

    struct deferred_entry {
        broker::message_id id;
        std::string text;
    };

    static constexpr std::uint32_t unknown_count = UINT32_MAX;

    struct other_host {
        std::uint32_t clients;
        ngx_msec_t missed_since; // Redis has lost it; 0: it has not
    };

    // replica_sync.cpp
    void sync();
    void apply_page(const redisReply &reply);
    void align_to(broker::message_id first, const broker::description &known);
    bool apply_entry(const redisReply &entry);
    void record_gap(broker::message_id before);
    void set_run(std::uint32_t run) noexcept;
    void read_counts(const redisReply &counts);

    // replica.cpp
    void finish_sync();
    void confirm();
    void make_up_for_loss();
    bool notify(std::string_view clients, bool lost);
    void handle(const redis::log_entry &entry, broker::message_id id);
    void append_external(const redis::log_entry &entry);
    void append_transient(std::uint8_t kind, std::uint64_t from,
                          std::string_view payload) noexcept;
    void update_host_clients(std::string_view host, std::uint32_t clients,
                             bool lost);
    void remove_silent_hosts();
    void update_remote_clients() noexcept;
    std::uint32_t remote_clients() const noexcept;

    environment &shared_;
    const std::string name_;
    const unsigned shard_;
    state state_ = state::waiting;
    broker::message_id last_; // last message of the log, while syncing
    std::vector<deferred_entry> deferred_; // received while not current
    std::size_t deferred_bytes_ = 0;
    bool sync_again_ = false;       // when the running sync ends
    broker::message_id lost_since_; // entries of the shard; epoch 0: none
    std::string last_close_;        // as in Redis, or empty
    sync_waiters next_waiters_;     // for the next sync or confirmation
    sync_waiters present_waiters_;  // for the present one
    bool confirming_ = false;
    std::uint64_t sync_number_ = 0; // of the running sync; 0: none
    std::uint32_t run_ = 0;         // of the log
    broker::message_id counted_at_; // entry of the shard
    std::map<std::string, other_host, std::less<>> other_hosts_; // by uid
    bool misses_hosts_ = false;
    bool counted_ = false; // clients of this host were announced
    std::uint32_t announced_clients_ =
        unknown_count;          // clients here, as the others know
    bool lost_clients_ = false; // some were lost, not yet announced
};

} // namespace websocket::nginx
