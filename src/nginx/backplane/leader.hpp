// The leader of a host: one worker that connects the host to Redis. It follows
// the resources that the host's workers have subscribed to, and announces the
// host's clients to other hosts.
//
// Each worker has one of these objects; one leads. When it exits, another takes
// over at once and reads missed messages from the streams. When it stalls,
// another takes over within two seconds.
//
// Work that concerns many resources at once is done in steps, so that clients
// are served in between and Redis is not asked more than it answers.
#pragma once

#include "nginx/redis_nodes/earlier_hosts.hpp"
#include "nginx/backplane/replica.hpp"
#include "nginx/backplane/shard_reader.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/host_inbox/inbox_reader.hpp"
#include "nginx/redis_nodes/router.hpp"
#include "nginx/workers/control_channel.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "redis/keys.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace websocket::nginx {

class redis_leader final : shard_router::channel_listener,
                           control_reader::listener,
                           shard_reader::listener,
                           inbox_reader::owner,
                           public replica::environment {
public:
    // Throws std::bad_alloc.
    explicit redis_leader(shard_router &redis);
    redis_leader(const redis_leader &) = delete;
    redis_leader &operator=(const redis_leader &) = delete;
    ~redis_leader(); // gives up the lead

    static bool is_last_worker() noexcept;

    // Removes the host from Redis if this is its last worker. To be called at
    // the exit of the worker.
    void unregister_if_last() noexcept;

    // Leads if no worker does.
    void try_lead() noexcept;

private:
    // Clients choose the names: long ones take no comparisons
    struct name_hash : std::hash<std::string_view> {
        using is_transparent = void;
    };
    using name_set =
        std::unordered_set<std::string, name_hash, std::equal_to<>>;
    using replica_map =
        std::unordered_map<std::string, std::unique_ptr<replica>, name_hash,
                           std::equal_to<>>;

    // Redis
    void on_linked(unsigned shard) noexcept override;
    void on_unlinked(unsigned shard) noexcept override;
    void on_subscribed(unsigned shard) noexcept override;
    void on_message(unsigned shard, std::string_view text) noexcept override;
    void on_inbox_subscribed() noexcept override;
    void on_inbox_message() noexcept override;
    void run_inbox_callback(inbox_reader &reader,
                            const redisReply &reply) noexcept override;

    // Workers of this host.
    void on_event(control_event what, std::uint64_t from,
                  std::string_view name) noexcept override;
    void on_overrun() noexcept override;
    void make_up_for_overrun() noexcept;

    // leader.cpp: leading
    void become_leader() noexcept;
    void step_down() noexcept;
    void on_disconnect() noexcept;
    void on_registered();
    void join(unsigned shard);
    static void on_pulse(ngx_event_t *event);
    static void on_second(ngx_event_t *event);
    void every_second();

    // leader_registration.cpp: id prefix of this host
    void register_host();
    void on_registration(const redisReply &reply);
    static void on_renew_reply(void *data, const redisReply *reply) noexcept;

    // leader_lease.cpp: leases of this host, and hosts without one
    void renew_leases();
    void renew_shard_lease(unsigned shard);
    bool has_lease(unsigned shard) const noexcept;
    void on_shard_lease_renewed(unsigned shard, const redisReply &reply);
    void purge_host(unsigned shard, std::string_view host);
    void find_orphans(unsigned shard, std::string_view position = "0");
    void remove_orphans(unsigned shard, const redisReply &found);
    static void on_orphans_reply(void *data, const redisReply *reply) noexcept;
    static void on_lease_reply(void *data, const redisReply *reply) noexcept;
    static void on_purge_reply(void *data, const redisReply *reply) noexcept;

    // leader_shards.cpp: logs of shards
    void subscribe(unsigned shard);
    void unsubscribe(unsigned shard);
    void on_entry(const redis::log_entry &entry, std::string_view text,
                  broker::message_id id) override;
    void on_shard_current(unsigned shard) override;
    void on_confirmed(std::string_view name) override;
    void on_shard_loss(unsigned shard, broker::message_id since) override;
    void run_callback(shard_reader &reader,
                      const redisReply &reply) noexcept override;
    shard_reader &reader(unsigned shard) noexcept override
    {
        return shards_[shard].reader;
    }

    // leader_replicas.cpp: resources that are followed
    bool request_sync(const shard_call &call, std::string_view name,
                      std::uint64_t number) override;
    bool notify(const shard_call &call, std::string_view name,
                bool lost) override;
    void schedule_notify(std::string_view name) override;
    static void on_notify_reply(void *data, const redisReply *reply) noexcept;
    static void on_sync_reply(void *data, const redisReply *reply) noexcept;
    replica *find_replica(std::string_view name) noexcept;
    replica &follow(std::string_view name);
    void unfollow(replica &log);
    void unfollow_if_unused(const std::string &name);
    void next_to_keep_alive(unsigned shard, std::vector<std::string> &names);
    void clients_changed(std::string_view name, bool lost);

    // leader_users.cpp: users of resources
    void register_users(std::string_view name, bool quiet) override;
    void user_changed(std::string_view name_and_user);
    void check_users();
    void send_users(std::string_view name, std::vector<std::string> users,
                    bool quiet);
    void find_stale_users(std::string_view name, std::string_view position);
    void check_registered(std::string_view name, const redisReply &page);
    static void on_users_reply(void *data, const redisReply *reply) noexcept;
    static void on_registered_reply(void *data,
                                    const redisReply *reply) noexcept;

    // leader_shards.cpp: work that concerns many resources
    void follow_all();
    void visit_all(unsigned shard);
    void retry_syncs();
    void work_soon() noexcept;
    static void tick(ngx_event_t *event);
    void work();
    bool scan_step();
    bool visit_step(unsigned shard, std::size_t &left);
    bool notify_step(std::size_t &left);
    bool unfollow_step(std::size_t &left);
    bool may_continue(std::size_t left) const noexcept;

    // Out of memory: restart from a new connection. A leader that has been
    // replaced does nothing until on_pulse() finds out.
    template <class Work>
    void with_oom_restart(Work work) noexcept
    try {
        if (!leading_ || worker_bus::broker().leads()) {
            work();
        }
    } catch (const std::bad_alloc &) {
        redis.restart_channels("no memory");
    }

    control_reader control_;
    earlier_hosts earlier_hosts_;
    inbox_reader inbox_;
    bool inbox_registered_ = false; // Redis has had this host in its list

    struct shard_state {
        shard_reader reader;
        redis_leader &leader;
        replica_map replicas;
        std::size_t kept_alive = 0;  // the last bucket of the round
        std::size_t visited = 0;     // buckets, of as many as `visiting`
        std::size_t visiting = 0;    // 0: all replicas have been visited
        ngx_msec_t renewed_at = 0;   // the lease, asked for
        ngx_msec_t steady_since = 0; // Redis has responded in time since then
        unsigned renewals = 0;       // without a reply
        ngx_msec_t waits_since = 0;  // for the first of these replies
        bool may_end_soon = false;   // the lease of another host
    };
    // Calls the function with each replica of all shards.
    template <class Function>
    void for_each_replica(Function function)
    {
        for (shard_state &shard : shards_) {
            for (const auto &[name, log] : shard.replicas) {
                function(*log);
            }
        }
    }

    template <std::size_t... index>
    std::array<shard_state, sizeof...(index)>
        make_shards(std::index_sequence<index...>) noexcept;

    std::array<shard_state, redis::shard_count> shards_;

    bool leading_ = false;
    bool registered_ = false; // Redis has its id prefix
    unsigned leaderless_seconds_ = 0;

    ngx_msec_t renewed_at_ = 0; // all leases, asked for
    unsigned renewals_ = 0;

    std::uint32_t followed_ = 0; // replicas of all shards
    name_set changed_;           // names
    name_set lost_clients_;      // of them: clients were lost
    name_set refused_;           // changed; announced again in the next second
    name_set unused_;            // perhaps, to be checked in the next second
    name_set checked_;           // in this second

    // Users of resources that changed in this second, and in the last one
    using user_sets =
        std::map<std::string, std::set<std::string, std::less<>>, std::less<>>;
    user_sets changed_users_;
    user_sets checked_users_;
    std::optional<broker::scan_cursor> scan_; // of follow_all()
    std::size_t unanswered_ = 0;              // calls of scripts for resources
    unsigned seconds_ = 0;
    bool overrun_ = false; // events of workers were lost

    ngx_event_t second_{};
    ngx_event_t tick_{};
    ngx_event_t pulse_{};
};

} // namespace websocket::nginx
