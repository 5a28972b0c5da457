// Follows the resources that workers have subscribed to, and announces clients.
#include "nginx/backplane/leader.hpp"

#include "nginx/workers/redis_counters.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "redis/keys.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

// Changes within this time are announced together.
constexpr ngx_msec_t notify_delay = 20;

// A client that returns within this time finds the log still followed.
constexpr ngx_msec_t unused_grace = 1'000;

// The expiry of each resource's keys is renewed once in so many renewals of
// their shard's lease.
constexpr std::size_t renewals_per_round = 300;

struct replica_call {
    redis_leader &leader;
    std::string name;
    std::uint64_t number; // of the sync
    bool lost;            // clients were lost
};

} // namespace

replica *redis_leader::find_replica(std::string_view name) noexcept
{
    const replica_map &replicas = shards_[redis::shard_of(name)].replicas;
    const auto found = replicas.find(name);

    return found == replicas.end() ? nullptr : found->second.get();
}

replica &redis_leader::follow(std::string_view name)
{
    if (replica *known = find_replica(name); known != nullptr) {
        return *known;
    }

    auto created = std::make_unique<replica>(*this, name);
    replica &log = *created;
    shard_state &shard = shards_[log.shard()];

    shard.replicas.emplace(std::string(name), std::move(created));
    host_redis_counters().resources.store(++followed_);

    if (shard.replicas.size() == 1) {
        subscribe(log.shard());
    } else if (shard.reader.current()) {
        log.start();
    }

    return log;
}

bool redis_leader::request_sync(const shard_call &call, std::string_view name,
                                std::uint64_t number)
{
    auto created = std::make_unique<replica_call>(
        replica_call{*this, std::string(name), number, false});

    if (!run(redis, call, on_sync_reply, created.get())) {
        return false;
    }

    unanswered_++;
    (void)created.release();
    return true;
}

void redis_leader::on_sync_reply(void *data, const redisReply *reply) noexcept
{
    const std::unique_ptr<replica_call> call(static_cast<replica_call *>(data));

    call->leader.unanswered_--;

    if (reply == nullptr) {
        return; // on_commands_lost() follows
    }

    call->leader.with_oom_restart([&] {
        if (replica *log = call->leader.find_replica(call->name);
            log != nullptr) {
            log->on_sync_reply(*reply, call->number);
        }
    });
}

bool redis_leader::notify(const shard_call &call, std::string_view name,
                          bool lost)
{
    auto created = std::make_unique<replica_call>(
        replica_call{*this, std::string(name), 0, lost});

    if (!run(redis, call, on_notify_reply, created.get())) {
        return false;
    }

    unanswered_++;
    (void)created.release();
    return true;
}

// If Redis refused, or the connection was lost, announces again later.
void redis_leader::on_notify_reply(void *data, const redisReply *reply) noexcept
{
    const std::unique_ptr<replica_call> call(static_cast<replica_call *>(data));

    call->leader.unanswered_--;

    if (reply != nullptr && error_in(reply).empty()) {
        return;
    }

    call->leader.with_oom_restart([&] {
        if (replica *log = call->leader.find_replica(call->name);
            log != nullptr) {
            log->invalidate_client_count(call->lost);
            call->leader.refused_.insert(call->name);
        }
    });
}

void redis_leader::schedule_notify(std::string_view name)
{
    changed_.emplace(name);

    if (!tick_.timer_set) {
        ngx_add_timer(&tick_, notify_delay);
    }
}

void redis_leader::on_event(control_event what, std::uint64_t from,
                            std::string_view name) noexcept
{
    with_oom_restart([&] {
        switch (what) {
        case control_event::sync_wanted:
            follow(name).wait_for_sync(from);
            return;
        case control_event::clients_changed:
        case control_event::clients_lost:
            clients_changed(name, what == control_event::clients_lost);
            return;
        case control_event::user_changed:
            user_changed(name);
            return;
        default:
            return;
        }
    });
}

// Workers repeat their requests when a leader announces itself, which may cause
// the next overrun: every_second() does it.
void redis_leader::on_overrun() noexcept
{
    overrun_ = true;
}

void redis_leader::make_up_for_overrun() noexcept
{
    send_control(workers_log, control_event::leader_up, 0, {});

    with_oom_restart([this] {
        if (worker_bus::broker().link_generation() != 0) {
            follow_all();
        }
        for (const shard_state &each : shards_) {
            visit_all(each.reader.shard());
        }
        for_each_replica(
            [this](replica &each) { register_users(each.name(), false); });
        work();
    });
}

// Clients of a log that is not followed were lost before this worker led.
void redis_leader::clients_changed(std::string_view name, bool lost)
{
    if (find_replica(name) == nullptr) {
        if (!worker_bus::broker()
                 .describe(name, worker_bus::now())
                 .subscribed) {
            return;
        }
        follow(name);
    }

    if (lost) {
        lost_clients_.emplace(name);
    }

    schedule_notify(name);
}

void redis_leader::unfollow_if_unused(const std::string &name)
{
    replica *log = find_replica(name);

    if (log == nullptr) {
        return;
    }

    if (worker_bus::broker().describe(name, worker_bus::now()).subscribed) {
        log->unused_since = 0;
        return;
    }

    if (log->unused_since == 0) {
        log->unused_since = ngx_current_msec;
    }

    if (ngx_current_msec - log->unused_since >= unused_grace) {
        unfollow(*log);
    } else {
        unused_.insert(name);
    }
}

// From now on the host misses messages of the log, so it counts as not
// synchronized. If a worker has just subscribed to it, it is kept.
void redis_leader::unfollow(replica &log)
{
    broker::broker &local = worker_bus::broker();

    (void)local.mark_synced(log.name(), 0);

    if (local.describe(log.name(), worker_bus::now()).subscribed) {
        log.unused_since = 0;
        log.keep_following();
        return;
    }

    log.unfollow();

    const unsigned shard = log.shard();
    replica_map &replicas = shards_[shard].replicas;

    replicas.erase(replicas.find(log.name()));
    host_redis_counters().resources.store(--followed_);

    if (replicas.empty()) {
        unsubscribe(shard);
    }
}

// Each renewal of a lease keeps some, so that a round takes ten minutes at
// most.
void redis_leader::next_to_keep_alive(unsigned shard,
                                      std::vector<std::string> &names)
{
    shard_state &from = shards_[shard];
    const std::size_t buckets = from.replicas.bucket_count();
    const std::size_t wanted = from.replicas.size() / renewals_per_round + 1;
    std::size_t found = 0;

    for (std::size_t i = 0; i != buckets && found < wanted; i++) {
        from.kept_alive = (from.kept_alive + 1) % buckets;

        for (auto at = from.replicas.begin(from.kept_alive);
             at != from.replicas.end(from.kept_alive); ++at, found++) {
            names.push_back(at->first);
            names.push_back(std::to_string(at->second->lifetime()));
            names.push_back(at->second->announced_clients());
            unused_.insert(at->first); // a dead worker does not report it
        }
    }
}

} // namespace websocket::nginx
