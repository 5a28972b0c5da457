// The leases of this host in Redis, and the removal of clients of hosts whose
// lease has expired.
#include "nginx/backplane/leader.hpp"

#include "nginx/core/log_throttle.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "redis/keys.hpp"

#include <algorithm>
#include <cstdint>
#include <new>
#include <vector>

namespace websocket::nginx {

namespace {

constexpr ngx_msec_t renewal = 2'000;
const std::string lease_text = std::to_string(host_lease);

// Shards without clients are renewed half as often.
const std::string idle_lease_text = std::to_string(host_lease + renewal);

// The most resources that one step removes a dead host from.
constexpr std::string_view max_purged_at_once = "100";

// Names of resources in one reply.
constexpr std::string_view orphans_at_once = "200";

// The shard of inboxes has more keys of a host.
void add_inbox_keys(unsigned shard, std::string_view host,
                    std::vector<std::string> &keys)
{
    if (shard == redis::inbox_shard) {
        keys.push_back(redis::inboxes_key());
        keys.push_back(redis::inbox_key(host));
        keys.push_back(redis::inbox_bytes_key(host));
    }
}

struct host_removal {
    redis_leader &leader;
    unsigned shard;
    std::string host;
};

ngx_msec_t since(ngx_msec_t moment) noexcept
{
    return ngx_current_msec - moment;
}

} // namespace

void redis_leader::renew_leases()
{
    if (registered_ && since(renewed_at_) < renewal) {
        return;
    }

    renewed_at_ = ngx_current_msec;
    register_host();
    renewals_++;

    // Shards without clients of this host take turns
    for (const shard_state &each : shards_) {
        if (!each.replicas.empty() || each.may_end_soon ||
            each.reader.shard() % 2 == renewals_ % 2) {
            renew_shard_lease(each.reader.shard());
        }
    }
}

// A host that reads its inbox has a lease in the shard of inboxes too.
bool redis_leader::has_lease(unsigned shard) const noexcept
{
    return !shards_[shard].replicas.empty() ||
           (shard == redis::inbox_shard && handlers_of_inbox != nullptr);
}

// In a shard without a lease this host still removes hosts that have died:
// perhaps no other host does.
void redis_leader::renew_shard_lease(unsigned shard)
{
    const std::string_view uid = worker_bus::zone().host.uid();
    std::vector<std::string> keys{redis::hosts_key(shard),
                                  redis::lease_key(shard, uid),
                                  redis::host_resources_key(shard, uid)};
    shard_state &state = shards_[shard];
    std::vector<std::string> kept;
    const std::string id_prefix =
        handlers_of_inbox == nullptr
            ? std::string{}
            : std::to_string(worker_bus::zone().host.id_prefix.load());
    std::string_view lease = "0";

    if (has_lease(shard)) {
        lease = state.replicas.empty() ? std::string_view{idle_lease_text}
                                       : std::string_view{lease_text};
    }

    if (since(state.renewed_at) > 3 * renewal) {
        state.steady_since = ngx_current_msec;
    }

    state.renewed_at = ngx_current_msec;
    next_to_keep_alive(shard, kept);
    add_inbox_keys(shard, uid, keys);

    std::vector<std::string_view> arguments{lease, id_prefix,
                                            inbox_registered_ ? "1" : "0"};
    arguments.insert(arguments.end(), kept.begin(), kept.end());

    if (run(redis, {redis::script::lease, shard, keys, arguments},
            on_lease_reply, &state) &&
        state.renewals++ == 0) {
        state.waits_since = ngx_current_msec;
    }
}

void redis_leader::on_lease_reply(void *data, const redisReply *reply) noexcept
{
    auto &shard = *static_cast<shard_state *>(data);

    shard.renewals--;

    if (since(shard.waits_since) > renewal) {
        shard.steady_since = ngx_current_msec;
    }

    shard.waits_since = ngx_current_msec;

    if (reply != nullptr && shard.leader.leading_) {
        shard.leader.with_oom_restart([&shard, reply] {
            shard.leader.on_shard_lease_renewed(shard.reader.shard(), *reply);
        });
    }
}

// A host without a lease may have been kept from renewing it by the same outage
// that this host has just seen the end of. A Redis that refuses all writes also
// lets leases expire.
void redis_leader::on_shard_lease_renewed(unsigned shard,
                                          const redisReply &reply)
{
    const auto parts = list_in(&reply);
    const std::string_view error = error_in(&reply);

    if (parts.size() != 5) {
        static log_throttle line;

        shards_[shard].steady_since = ngx_current_msec;
        log_refused(line, "renew the lease of this host", error, "retrying");
        return;
    }

    const std::string_view ended = text_in(parts[1]);
    shard_state &state = shards_[shard];

    inbox_registered_ = inbox_registered_ || (shard == redis::inbox_shard &&
                                              handlers_of_inbox != nullptr);

    state.may_end_soon = text_in(parts[3]) == "1";

    if (const auto end = redis::parse_message_id(text_in(parts[0])); end) {
        state.reader.on_log_end(*end);
    }

    if (parts[4]->type == REDIS_REPLY_INTEGER && parts[4]->integer > 0) {
        inbox_
            .wake(); // the channel has lost a message, or reading is under way
    }

    // Redis has lost their counts, or removed them to have memory. Other hosts
    // may have removed this one meanwhile, so they compare presence
    for (const redisReply *name : list_in(parts[2])) {
        if (replica *log = find_replica(text_in(name)); log != nullptr) {
            log->invalidate_client_count(true);
            schedule_notify(log->name());
            register_users(log->name(), true);
        }
    }

    if (!ended.empty() && since(state.steady_since) >= host_lease) {
        purge_host(shard, ended);
    }
}

// A dead worker may have been the last one with clients of a resource. Nobody
// follows that resource, and other hosts still count its clients.
void redis_leader::find_orphans(unsigned shard, std::string_view position)
{
    const std::string key =
        redis.settings().prefix +
        redis::host_resources_key(shard, worker_bus::zone().host.uid());
    const std::array<std::string_view, 5> args{"SSCAN", key, position, "COUNT",
                                               orphans_at_once};

    (void)redis.command(shard, args, on_orphans_reply, &shards_[shard]);
}

void redis_leader::on_orphans_reply(void *data,
                                    const redisReply *reply) noexcept
{
    auto &shard = *static_cast<shard_state *>(data);

    if (reply != nullptr && shard.leader.leading_) {
        shard.leader.with_oom_restart([&shard, reply] {
            shard.leader.remove_orphans(shard.reader.shard(), *reply);
        });
    }
}

void redis_leader::remove_orphans(unsigned shard, const redisReply &found)
{
    const std::string_view uid = worker_bus::zone().host.uid();
    const auto parts = list_in(&found);

    if (parts.size() != 2) {
        return; // refused
    }

    for (const redisReply *each : list_in(parts[1])) {
        const std::string_view name = text_in(each);

        if (find_replica(name) != nullptr) {
            continue; // announced when it is synchronized
        }

        const std::array<std::string, 5> keys{
            redis::clients_key(name), redis::host_resources_key(shard, uid),
            redis::hosts_key(shard), redis::lease_key(shard, uid),
            redis::position_key(name)};
        const std::array<std::string_view, 5> arguments{"0", name, "1", "",
                                                        "0"};

        (void)run(redis, {redis::script::notify, shard, keys, arguments},
                  nullptr, nullptr);
    }

    if (const auto next = text_in(parts[0]); next != "0") {
        find_orphans(shard, next);
    }
}

bool redis_leader::is_last_worker() noexcept
{
    const shared_zone &zone = worker_bus::zone();
    const std::span blocks(zone.slot_counters, zone.slots);

    return std::none_of(
        blocks.begin(), blocks.end(), [](const counters::slot_counters &block) {
            return block.pid.load() != ngx_pid && counters::in_use(block);
        });
}

// Other hosts remove clients that are left when the lease expires.
void redis_leader::unregister_if_last() noexcept
{
    shared_zone &zone = worker_bus::zone();

    if (!is_last_worker()) {
        return;
    }

    with_oom_restart([this, &zone] {
        const std::string uid(zone.host.uid());
        const std::uint32_t id_prefix = zone.host.id_prefix.load();
        const std::array<std::string, 1> prefix_key{
            redis::id_prefix_key(id_prefix)};
        const std::array<std::string_view, 1> owner{uid};

        for (unsigned shard = 0; shard != shards_.size(); shard++) {
            std::vector<std::string> keys{
                redis::hosts_key(shard), redis::lease_key(shard, uid),
                redis::host_resources_key(shard, uid)};
            const std::string prefix =
                redis.settings().prefix + redis::shard_tag(shard);
            const std::array<std::string_view, 1> arguments{prefix};

            add_inbox_keys(shard, uid, keys);

            (void)run(redis,
                      {redis::script::unregister_host, shard, keys, arguments},
                      nullptr, nullptr);
        }

        (void)redis.run(redis::id_prefix_shard(id_prefix),
                        {redis::script::release_id_prefix, prefix_key, owner},
                        nullptr, nullptr);
        redis.flush();
    });
}

void redis_leader::purge_host(unsigned shard, std::string_view host)
{
    std::vector<std::string> keys{redis::hosts_key(shard),
                                  redis::lease_key(shard, host),
                                  redis::host_resources_key(shard, host)};
    const std::string prefix =
        redis.settings().prefix + redis::shard_tag(shard);
    const std::array<std::string_view, 3> arguments{host, prefix,
                                                    max_purged_at_once};

    add_inbox_keys(shard, host, keys);

    auto call = std::make_unique<host_removal>(
        host_removal{*this, shard, std::string(host)});

    if (run(redis, {redis::script::purge_host, shard, keys, arguments},
            on_purge_reply, call.get())) {
        (void)call.release();
    }
}

void redis_leader::on_purge_reply(void *data, const redisReply *reply) noexcept
{
    const std::unique_ptr<host_removal> call(static_cast<host_removal *>(data));

    if (reply == nullptr || reply->type != REDIS_REPLY_INTEGER) {
        return;
    }

    call->leader.with_oom_restart([&] {
        if (reply->integer > 0) {
            call->leader.purge_host(call->shard, call->host);
        } else {
            call->leader.renew_shard_lease(call->shard); // finds the next one
        }
    });
}

} // namespace websocket::nginx
