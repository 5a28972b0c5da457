// The id prefix of this host, which Redis keeps for it, and Redis's clock.
#include "nginx/backplane/leader.hpp"

#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "redis/keys.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>

namespace websocket::nginx {

namespace {

// Whether a client may have an id with the prefix of the host.
bool has_clients(const shared_zone &zone) noexcept
{
    const std::span blocks(zone.slot_counters, zone.slots);

    return std::any_of(blocks.begin(), blocks.end(), [](const auto &block) {
        return block.waiting.get() != 0 || block.clients.get() != 0;
    });
}

// Redis read its clock after `sent_at` and before now, by the monotonic clock,
// so a late reply leaves a wide range. The known difference changes only as far
// as needed.
void update_clock(std::optional<std::uint64_t> redis_time,
                  std::optional<std::uint64_t> sent_at) noexcept
{
    if (!redis_time || !sent_at) {
        return;
    }

    ngx_time_update(); // may be old within a turn of the event loop

    const auto time = static_cast<std::int64_t>(*redis_time);
    const std::int64_t least =
        time - static_cast<std::int64_t>(ngx_current_msec);
    const std::int64_t most = time - static_cast<std::int64_t>(*sent_at);
    std::atomic<std::int64_t> &known = worker_bus::zone().redis_clock;

    if (least <= most) {
        known.store(std::clamp(known.load(), least, most));
    }
}

} // namespace

// If the shard of the id prefix is unreachable, a new host chooses another one.
// A host whose clients have ids with it keeps it.
void redis_leader::register_host()
{
    shared_zone &zone = worker_bus::zone();
    host_identity &host = zone.host;
    const bool is_new = zone.link_generation == 0 && !has_clients(zone);
    const auto reachable = [this, &host] {
        return redis.ready(redis::id_prefix_shard(host.id_prefix.load()));
    };

    for (unsigned i = 0; i != 100 && is_new && !reachable(); i++) {
        host.choose_id_prefix();
    }

    if (!reachable()) {
        if (!is_new && redis.linked()) {
            on_registered();
        }
        return;
    }

    const std::uint32_t id_prefix = host.id_prefix.load();
    const std::array<std::string, 1> keys{redis::id_prefix_key(id_prefix)};
    const std::string lease = std::to_string(host_lease);
    const std::string sent_at = std::to_string(ngx_current_msec);
    const std::array<std::string_view, 3> arguments{host.uid(), lease, sent_at};

    (void)redis.run(redis::id_prefix_shard(id_prefix),
                    {redis::script::renew, keys, arguments}, on_renew_reply,
                    this);
}

void redis_leader::on_renew_reply(void *data, const redisReply *reply) noexcept
{
    auto &self = *static_cast<redis_leader *>(data);

    if (reply != nullptr && self.leading_) {
        self.with_oom_restart([&self, reply] { self.on_registration(*reply); });
    }
}

void redis_leader::on_registration(const redisReply &reply)
{
    const auto parts = list_in(&reply);
    const std::string_view error = error_in(&reply);

    if (parts.size() != 3) {
        static log_throttle line;

        log_refused(line, "register this host", error, "retrying");
        return; // every_second() tries again
    }

    update_clock(detail::decimal(text_in(parts[1])),
                 detail::decimal(text_in(parts[2])));

    const bool number_is_ours = text_in(parts[0]) == "1";
    shared_zone &zone = worker_bus::zone();

    if (!number_is_ours && zone.link_generation == 0 && !has_clients(zone)) {
        zone.host.choose_id_prefix(); // no client has an id with it
        register_host();
        return;
    }

    if (!number_is_ours) {
        static log_throttle line;

        if (line.allows()) {
            write_log(NGX_LOG_WARN, ngx_cycle->log,
                      "websocket: host id prefix %uD was taken by another host "
                      "during an outage: client ids may collide until nginx is "
                      "restarted on one of them",
                      zone.host.id_prefix.load());
        }
    }

    if (redis.linked()) {
        on_registered();
    }
}

} // namespace websocket::nginx
