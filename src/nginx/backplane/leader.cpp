// Leading the host: taking and giving up the lead, and the connection to the
// other hosts.
//
// The host is connected when some shard is linked, for commands and for its
// channel, and Redis has the host's id prefix. In a cluster shards are linked
// and unlinked one by one.
#include "nginx/backplane/leader.hpp"

#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/workers/redis_counters.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "redis/keys.hpp"

#include <algorithm>
#include <new>
#include <optional>
#include <utility>

namespace websocket::nginx {

namespace {

constexpr ngx_msec_t second = 1000;

// The leader confirms that it is alive, and the others look, at this interval.
constexpr ngx_msec_t pulse_interval = 400;

// Clients of dead workers, and hosts of earlier versions, are searched for at
// this interval. Users are registered again.
constexpr unsigned seconds_between_checks = 300;

// A worker that shuts down leaves the lead to a staying one for so long.
constexpr unsigned max_leaderless_seconds = 2;

void prepare(ngx_event_t &timer, void *data,
             ngx_event_handler_pt handler) noexcept
{
    timer.data = data;
    timer.handler = handler;
    timer.log = ngx_cycle->log;
    timer.cancelable = 1; // must not delay graceful shutdown
}

bool another_worker_stays() noexcept
{
    const shared_zone &zone = worker_bus::zone();
    const std::span blocks(zone.slot_counters, zone.slots);

    return std::any_of(blocks.begin(), blocks.end(), [](const auto &block) {
        return block.pid.load() != ngx_pid && block.draining.get() == 0 &&
               counters::in_use(block);
    });
}

} // namespace

redis_leader::redis_leader(shard_router &redis)
    : replica::environment{redis}, control_{*this}, earlier_hosts_{redis},
      inbox_{redis, *this}, shards_{make_shards(
                                std::make_index_sequence<redis::shard_count>())}
{
    prepare(second_, this, on_second);
    prepare(tick_, this, tick);
    prepare(pulse_, this, on_pulse);
    ngx_add_timer(&second_, second);
    ngx_add_timer(&pulse_, pulse_interval);
}

redis_leader::~redis_leader()
{
    if (leading_) {
        step_down();
    }

    for (ngx_event_t *timer : {&second_, &tick_, &pulse_}) {
        if (timer->timer_set) {
            ngx_del_timer(timer);
        }
    }
}

template <std::size_t... index>
std::array<redis_leader::shard_state, sizeof...(index)>
redis_leader::make_shards(std::index_sequence<index...>) noexcept
{
    return {{{.reader = shard_reader(redis, *this, index),
              .leader = *this,
              .replicas = {}}...}};
}

void redis_leader::try_lead() noexcept
{
    broker::broker &local = worker_bus::broker();
    const std::optional<unsigned> before = local.leader();

    if (leading_ || !local.lead(worker_bus::slot(), ngx_current_msec)) {
        return;
    }

    if (before.has_value() && before != worker_bus::slot()) {
        write_log(NGX_LOG_WARN, ngx_cycle->log,
                  "websocket: the worker with slot %ui, which connected this "
                  "host to Redis, has not responded for over a second: this "
                  "worker takes its place",
                  static_cast<ngx_uint_t>(*before));
    }

    become_leader();
}

void redis_leader::become_leader() noexcept
{
    leading_ = true;
    leaderless_seconds_ = 0;
    host_redis_counters().resources.store(0); // an earlier leader may have died
    (void)worker_bus::broker().set_link_generation(0);

    if (!control_.subscribe(leader_log)) {
        static log_throttle line;

        if (log_permit permit = line.allows(); permit) {
            write_log(NGX_LOG_ERR, ngx_cycle->log,
                      "websocket: no memory to lead this host: it receives "
                      "nothing from other hosts; increase "
                      "websocket_shared_memory%V",
                      permit.suppressed());
        }

        leading_ = false; // every_second() tries again
        worker_bus::broker().resign(worker_bus::slot());
        return;
    }

    send_control(workers_log, control_event::leader_up, 0, {});
    redis.open_channels(*this);
}

void redis_leader::step_down() noexcept
{
    const bool was_replaced = !worker_bus::broker().leads();

    on_disconnect();
    leading_ = false;
    registered_ = false;
    redis.close_channels();
    control_.stop();
    inbox_.reset();
    followed_ = 0;
    scan_.reset();

    for (shard_state &each : shards_) {
        each.replicas.clear();
        each.visiting = each.visited = 0;
    }

    if (!was_replaced) {
        host_redis_counters().resources.store(0);
        worker_bus::broker().resign(worker_bus::slot());
        send_control(workers_log, control_event::leader_down, 0, {});
    }
}

// The workers of a host have one monotonic clock. A leader that stalls is
// replaced. When it continues, the broker refuses its
// changes, and it steps down.
void redis_leader::on_pulse(ngx_event_t *event)
{
    auto &self = *static_cast<redis_leader *>(event->data);

    if (!self.leading_) {
        if (!ngx_exiting) {
            self.try_lead();
        }
    } else if (!worker_bus::broker().keep_lead(ngx_current_msec)) {
        self.step_down();
    }

    ngx_add_timer(event, pulse_interval);
}

void redis_leader::on_linked(unsigned shard) noexcept
{
    shards_[shard].steady_since = ngx_current_msec;

    with_oom_restart([this, shard] {
        if (registered_) {
            join(shard);
        } else if (shard == redis::id_prefix_shard(
                                worker_bus::zone().host.id_prefix.load())) {
            register_host(); // otherwise every_second() does
        }
    });
}

// The resources of this shard are no longer up to date; with the last shard,
// none is.
void redis_leader::on_unlinked(unsigned shard) noexcept
{
    if (!redis.linked()) {
        (void)worker_bus::broker().set_link_generation(0);
        registered_ = false;
    }

    shards_[shard].reader.on_disconnect();

    if (shard == redis::inbox_shard) {
        inbox_.stop();
    }

    for (const auto &[name, log] : shards_[shard].replicas) {
        log->on_disconnect();

        if (registered_) {
            (void)worker_bus::broker().mark_synced(name, 0);
        }
    }
}

void redis_leader::on_disconnect() noexcept
{
    (void)worker_bus::broker().set_link_generation(0);
    inbox_.stop();

    for (shard_state &each : shards_) {
        each.reader.on_disconnect();
    }

    for_each_replica([](replica &each) { each.on_disconnect(); });
}

void redis_leader::on_registered()
{
    if (std::exchange(registered_, true)) {
        return;
    }

    renewed_at_ = ngx_current_msec;
    link_generation = ++worker_bus::zone().link_generation;
    host_redis_counters().connects.add(1);
    follow_all();
    (void)worker_bus::broker().set_link_generation(link_generation);

    for (unsigned shard = 0; shard != shards_.size(); shard++) {
        if (redis.linked(shard)) {
            join(shard);
        }
    }

    earlier_hosts_.look();
    work();
}

// Begins to use a shard that has been linked.
void redis_leader::join(unsigned shard)
{
    if (shard == redis::inbox_shard && handlers_of_inbox != nullptr) {
        redis.subscribe_inbox(worker_bus::zone().host.uid());
    }

    if (!shards_[shard].replicas.empty()) {
        subscribe(shard);
    }

    if (has_lease(shard)) {
        renew_shard_lease(shard);
    }

    if (!scan_) {
        find_orphans(shard);
    }
}

void redis_leader::on_second(ngx_event_t *event)
{
    auto &self = *static_cast<redis_leader *>(event->data);

    self.with_oom_restart([&self] { self.every_second(); });
    ngx_add_timer(event, second);
}

void redis_leader::every_second()
{
    if (!leading_) {
        if (ngx_exiting && leaderless_seconds_++ >= max_leaderless_seconds) {
            try_lead();
        }
        return;
    }

    if (ngx_exiting && another_worker_stays()) {
        step_down();
        return;
    }

    if (std::exchange(overrun_, false)) {
        make_up_for_overrun();
    }

    // Redis may refuse for a while: it had no memory, was busy, or is a replica
    if (redis.linked()) {
        renew_leases();
    }

    if (checked_.empty()) {
        checked_ = std::exchange(unused_, {});
    }

    changed_.merge(refused_);

    work();

    if (!registered_) {
        return;
    }

    if (++seconds_ % seconds_between_checks == 0) {
        earlier_hosts_.look();

        for (const shard_state &each : shards_) {
            find_orphans(each.reader.shard());
        }

        // Redis may have removed the users of a resource to have memory
        for_each_replica(
            [this](replica &each) { register_users(each.name(), true); });
    }

    for (shard_state &each : shards_) {
        each.reader.retry();
    }

    inbox_.retry();

    check_users();
    for_each_replica([](replica &each) { each.every_second(); });
    retry_syncs();
}

} // namespace websocket::nginx
