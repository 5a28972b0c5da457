// The leases of this host for its clients, one in each shard that has some.
#include "nginx/kept_clients/client_claims.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/redis_io/script_runner.hpp"
#include "nginx/workers/control_channel.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <new>

namespace websocket::nginx::backend {

void use_client_shard(unsigned shard) noexcept
{
    worker_bus::zone().client_shards.fetch_or(std::uint32_t{1} << shard);
}

std::string client_claims::tagged_prefix(const shard_router &redis,
                                         unsigned shard)
{
    return redis.settings().prefix + redis::shard_tag(shard);
}

void client_claims::renew(shard_router &redis, unsigned shard)
{
    const std::string_view uid = worker_bus::zone().host.uid();
    const std::string lease = std::to_string(client_lease);
    const std::string prefix = tagged_prefix(redis, shard);
    const std::array<std::string, 3> keys{redis::client_lease_key(shard, uid),
                                          redis::client_kinds_key(shard, uid),
                                          redis::client_hosts_key(shard)};
    const std::array<std::string_view, 3> arguments{uid, lease, prefix};

    (void)redis.run(shard, {redis::script::renew_clients, keys, arguments},
                    on_renewed, &steady_since_[shard]);
}

// Another host may have taken clients, or Redis may have lost them.
void client_claims::on_renewed(void *data, const redisReply *reply) noexcept
{
    const client_claims &self = instance();
    const auto shard = static_cast<std::uint64_t>(
        static_cast<ngx_msec_t *>(data) - self.steady_since_.data());

    if (!has_error(reply, "renew the lease for clients of HTTP backends") &&
        reply != nullptr && reply->integer == 0) {
        report_no_lease(static_cast<unsigned>(shard));
    }
}

void report_no_lease(unsigned shard) noexcept
{
    send_control(workers_log, control_event::clients_unleased, shard, {});
}

// Throws std::bad_alloc.
void client_claims::end_leases()
{
    shard_router *redis = backplane::router();

    if (redis == nullptr || !backplane::is_last_worker()) {
        return;
    }

    const std::uint32_t used = worker_bus::zone().client_shards.load();

    for (unsigned shard = 0; shard != redis::shard_count; shard++) {
        const std::string key =
            redis->settings().prefix +
            redis::client_lease_key(shard, worker_bus::zone().host.uid());
        const std::array<std::string_view, 2> args{"DEL", key};

        if ((used >> shard & 1) != 0) {
            (void)redis->command(shard, args, nullptr, nullptr);
        }
    }

    redis->flush();
}

void client_claims::end() noexcept
try {
    if (batch_ && !batch_->asked) {
        end_batch(); // otherwise Redis may give the clients to this host
    }

    end_leases();
} catch (const std::bad_alloc &) {
    // The leases end by themselves
}

} // namespace websocket::nginx::backend
