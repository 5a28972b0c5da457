// The lease of this host in Redis, and the removal of clients of hosts whose
// lease has expired.
#include "nginx/backplane/leader.hpp"
#include "nginx/core/log_line.hpp"

#include "nginx/core/log_throttle.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "redis/keys.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

constexpr ngx_msec_t lease = 10'000;
constexpr ngx_msec_t renewal = 2'000;

// The most resources that one step removes a dead host from.
constexpr std::string_view max_purged_at_once = "100";

ngx_msec_t since(ngx_msec_t moment) noexcept
{
    return ngx_current_msec - moment;
}

} // namespace

// The reply to a renewal comes over one connection, the heartbeat over the
// other. A connection without a heartbeat is broken.
bool redis_leader::lease_is_due() noexcept
{
    if (subscribed_ && heartbeat_at_ != 0 &&
        since(heartbeat_at_) > settings_.command_timeout) {
        subscriber_.restart("no heartbeat received");
        return false;
    }

    return since(renewed_at_) >= renewal;
}

void redis_leader::renew_lease()
{
    const host_identity &host = worker_bus::zone().host;
    const std::string uid(host.uid());
    const std::string time = std::to_string(lease);
    const std::array<std::string, 4> keys{
        redis::hosts_key(), redis::id_prefix_key(host.id_prefix.load()),
        redis::heartbeat_channel(uid), redis::host_resources_key(uid)};
    const std::array<std::string_view, 2> arguments{uid, time};

    renewed_at_ = ngx_current_msec;
    (void)redis_.run({redis::script::renew, keys, arguments}, on_renew_reply,
                     this);
}

void redis_leader::on_renew_reply(void *data, const redisReply *reply) noexcept
{
    auto &self = *static_cast<redis_leader *>(data);

    if (reply != nullptr && self.leading_) {
        self.with_oom_restart(
            [&self, reply] { self.on_lease_renewed(*reply); });
    }
}

void redis_leader::on_lease_renewed(const redisReply &reply)
{
    const auto parts = list_in(&reply);
    const std::string_view error = error_in(&reply);

    if (redis_.reconnect_if_unusable(error)) {
        return; // it reconnects
    }

    if (parts.size() != 3) {
        static log_throttle line;

        log_refused(line, "register this host", error, "retrying");
        return; // every_second() tries again
    }

    const bool known = text_in(parts[0]) == "1";
    const bool number_is_ours = text_in(parts[1]) == "1";
    const std::string_view ended = text_in(parts[2]);
    shared_zone &zone = worker_bus::zone();

    if (!number_is_ours && zone.link_generation == 0) {
        zone.host.choose_id_prefix(); // no client has an id with it
        renew_lease();
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

    if (!known && registered_) {
        // Other hosts, or a flush, have removed our clients from the counts
        for (const auto &[name, log] : replicas_) {
            log->invalidate_client_count();
            changed_.insert(name);
        }
        notify_changes();
    }

    registered_ = true;
    heartbeat_at_ = heartbeat_ || !subscribed_ ? 0 : ngx_current_msec;
    heartbeat_ = false;
    on_connect();

    if (!ended.empty() && ended != zone.host.uid()) {
        purge_host(ended);
    }
}

// A dead worker may have been the last one with clients of a resource. Nobody
// follows that resource, and other hosts still count its clients.
void redis_leader::find_orphans()
{
    const std::string key =
        settings_.prefix +
        redis::host_resources_key(worker_bus::zone().host.uid());
    const std::array<std::string_view, 2> args{"SMEMBERS", key};

    (void)redis_.command(args, on_orphans_reply, this);
}

void redis_leader::on_orphans_reply(void *data,
                                    const redisReply *reply) noexcept
{
    auto &self = *static_cast<redis_leader *>(data);

    if (reply != nullptr && self.leading_) {
        self.with_oom_restart([&self, reply] { self.remove_orphans(*reply); });
    }
}

void redis_leader::remove_orphans(const redisReply &names)
{
    const std::string uid(worker_bus::zone().host.uid());

    for (const redisReply *each : list_in(&names)) {
        const std::string name(text_in(each));

        if (find_replica(name) != nullptr) {
            continue; // announced when it is synchronized
        }

        const std::array<std::string, 3> keys{redis::clients_key(name),
                                              redis::host_resources_key(uid),
                                              redis::hosts_key()};
        const std::string channel = settings_.prefix + redis::channel(name);
        const std::array<std::string_view, 6> arguments{channel, uid, "0",
                                                        name,    "1", ""};

        (void)redis_.run({redis::script::notify, keys, arguments}, nullptr,
                         nullptr);
    }
}

// Other hosts remove clients that are left when the lease expires.
void redis_leader::unregister_if_last() noexcept
{
    shared_zone &zone = worker_bus::zone();
    const std::span blocks(zone.slot_counters, zone.slots);
    const auto another = std::find_if(
        blocks.begin(), blocks.end(), [](const counters::slot_counters &block) {
            return block.pid.load() != ngx_pid && counters::in_use(block);
        });

    if (another != blocks.end()) {
        return;
    }

    with_oom_restart([this, &zone] {
        const std::string uid(zone.host.uid());
        const std::array<std::string, 3> keys{
            redis::hosts_key(), redis::host_resources_key(uid),
            redis::id_prefix_key(zone.host.id_prefix.load())};
        const std::array<std::string_view, 2> arguments{uid, settings_.prefix};

        if (redis_.run({redis::script::unregister_host, keys, arguments},
                       nullptr, nullptr)) {
            redis_.flush();
        }
    });
}

void redis_leader::purge_host(std::string_view host)
{
    const std::array<std::string, 2> keys{redis::hosts_key(),
                                          redis::host_resources_key(host)};
    const std::array<std::string_view, 3> arguments{host, settings_.prefix,
                                                    max_purged_at_once};
    auto call =
        std::make_unique<std::pair<redis_leader *, std::string>>(this, host);

    if (redis_.run({redis::script::purge_host, keys, arguments}, on_purge_reply,
                   call.get())) {
        (void)call.release();
    }
}

void redis_leader::on_purge_reply(void *data, const redisReply *reply) noexcept
{
    const std::unique_ptr<std::pair<redis_leader *, std::string>> call(
        static_cast<std::pair<redis_leader *, std::string> *>(data));

    if (reply != nullptr && reply->type == REDIS_REPLY_INTEGER &&
        reply->integer > 0) {
        redis_leader &self = *call->first;
        self.with_oom_restart([&] { self.purge_host(call->second); });
    }
}

} // namespace websocket::nginx
