// Follows logs: subscribes to their channels, dispatches messages to replicas,
// and announces clients.
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

// The most channels that are requested and not confirmed.
constexpr std::size_t max_subscribing = 256;

// Changes within this time are announced together.
constexpr ngx_msec_t notify_delay = 20;

// A client that returns within this time finds the log still followed.
constexpr ngx_msec_t unused_grace = 1'000;

// The expiry of each log's keys is renewed once in so many seconds.
constexpr std::size_t seconds_per_keep_alive_round = 60;

struct replica_call {
    redis_leader &leader;
    std::string name;
    std::uint64_t number;
};

struct scan_memory {
    std::array<broker::scanned_log, 256> logs;
    std::array<std::byte, 4 * broker::max_name_size> names;
};

scan_memory scan_memory_of_leader;

} // namespace

replica *redis_leader::find_replica(std::string_view name) noexcept
{
    const auto found = replicas_.find(name);

    return found == replicas_.end() ? nullptr : found->second.get();
}

replica &redis_leader::follow(std::string_view name)
{
    if (replica *known = find_replica(name); known != nullptr) {
        return *known;
    }

    auto created = std::make_unique<replica>(environment_, name);
    replica &log = *created;

    if (worker_bus::broker().link_generation() != 0) {
        to_subscribe_.emplace_back(name); // otherwise follow_all() adds it
    }

    replicas_.emplace(std::string(name), std::move(created));
    host_redis_counters().resources.store(
        static_cast<std::uint32_t>(replicas_.size()));
    subscribe_more();
    return log;
}

// Follows all logs that workers have subscribed to, and resubscribes those that
// were followed when the connection was lost.
void redis_leader::follow_all()
{
    broker::scan_cursor cursor;
    broker::scan_result found{.more = true};

    for (const auto &[name, log] : replicas_) {
        to_subscribe_.push_back(name);
    }

    while (found.more) {
        found = worker_bus::broker().scan(
            cursor, {scan_memory_of_leader.names, scan_memory_of_leader.logs},
            256);

        for (const broker::scanned_log &log :
             std::span(scan_memory_of_leader.logs).first(found.count)) {
            if (log.subscribed && !is_control_log(log.name)) {
                follow(log.name);
            }
        }
    }

    subscribe_more();
}

void redis_leader::subscribe_more()
{
    while (worker_bus::broker().link_generation() != 0 &&
           !to_subscribe_.empty() && subscribing_ < max_subscribing) {
        if (find_replica(to_subscribe_.front()) == nullptr) {
            to_subscribe_.pop_front(); // unfollowed meanwhile
            continue;
        }

        const std::string channel =
            settings_.prefix + redis::channel(to_subscribe_.front());
        const std::array<std::string_view, 2> args{"SUBSCRIBE", channel};

        if (!subscriber_.command(args, on_channel_reply, this)) {
            return; // the connection is about to end
        }

        to_subscribe_.pop_front();
        subscribing_++;
    }
}

void redis_leader::on_channel_reply(void *data,
                                    const redisReply *reply) noexcept
{
    auto &self = *static_cast<redis_leader *>(data);

    if (reply == nullptr || reply->type != REDIS_REPLY_ARRAY ||
        reply->elements != 3) {
        return;
    }

    const auto parts = list_in(reply);

    self.with_oom_restart([&self, &parts] {
        self.handle_channel_reply(text_in(parts[0]), text_in(parts[1]),
                                  text_in(parts[2]));
    });
}

void redis_leader::handle_channel_reply(std::string_view type,
                                        std::string_view channel,
                                        std::string_view text)
{
    if (!leading_ || !channel.starts_with(settings_.prefix)) {
        return;
    }

    channel.remove_prefix(settings_.prefix.size());

    if (channel.starts_with(redis::heartbeat_prefix)) {
        heartbeat_at_ = 0;
        heartbeat_ = true;
        subscribed_ = true;
        on_connect();
        return;
    }

    if (type == "subscribe") {
        subscribing_ -= subscribing_ > 0 ? 1 : 0;
        subscribe_more();
    }

    if (replica *log = find_replica(channel.substr(std::min<std::size_t>(
            channel.size(), redis::channel_prefix.size())));
        log != nullptr && type == "subscribe") {
        log->subscribed();
    } else if (log != nullptr && type == "message") {
        log->on_message(text);
    }
}

bool redis_leader::request_sync(replica::environment &of,
                                const script_call &call, std::string_view name,
                                std::uint64_t number)
{
    auto created = std::make_unique<replica_call>(
        replica_call{static_cast<shared_environment &>(of).leader,
                     std::string(name), number});

    if (!of.redis.run(call, on_sync_reply, created.get())) {
        return false;
    }

    (void)created.release();
    return true;
}

void redis_leader::on_sync_reply(void *data, const redisReply *reply) noexcept
{
    const std::unique_ptr<replica_call> call(static_cast<replica_call *>(data));

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

bool redis_leader::notify(replica::environment &of, const script_call &call,
                          std::string_view name)
{
    auto created = std::make_unique<replica_call>(replica_call{
        static_cast<shared_environment &>(of).leader, std::string(name), 0});

    if (!of.redis.run(call, on_notify_reply, created.get())) {
        return false;
    }

    (void)created.release();
    return true;
}

// If Redis refused, announces again within a second.
void redis_leader::on_notify_reply(void *data, const redisReply *reply) noexcept
{
    const std::unique_ptr<replica_call> call(static_cast<replica_call *>(data));

    if (reply == nullptr || error_in(reply).empty()) {
        return;
    }

    call->leader.with_oom_restart([&] {
        if (replica *log = call->leader.find_replica(call->name);
            log != nullptr) {
            log->invalidate_client_count();
            call->leader.changed_.insert(call->name);
        }
    });
}

void redis_leader::on_clients_changed(replica::environment &of,
                                      std::string_view name)
{
    static_cast<shared_environment &>(of).leader.schedule_notify(name);
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
        default:
            return;
        }
    });
}

// Workers repeat their requests when a leader announces itself.
void redis_leader::on_overrun() noexcept
{
    send_control(workers_log, control_event::leader_up, 0, {});

    with_oom_restart([this] {
        if (worker_bus::broker().link_generation() != 0) {
            follow_all();
        }
        for (const auto &[name, log] : replicas_) {
            changed_.insert(name);
        }
        notify_changes();
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

void redis_leader::tick(ngx_event_t *event)
{
    auto &self = *static_cast<redis_leader *>(event->data);

    self.with_oom_restart([&self] { self.notify_changes(); });
}

void redis_leader::notify_changes()
{
    const auto changed = std::exchange(changed_, {});
    const auto lost = std::exchange(lost_clients_, {});

    for (const std::string &name : changed) {
        if (replica *log = find_replica(name); log != nullptr) {
            log->notify_clients(lost.contains(name));
            unused_.insert(name);
        }
    }
}

void redis_leader::unfollow_unused()
{
    const auto names = std::exchange(unused_, {});

    for (const std::string &name : names) {
        const auto at = replicas_.find(name);

        if (at == replicas_.end() ||
            worker_bus::broker().describe(name, worker_bus::now()).subscribed) {
            if (at != replicas_.end()) {
                at->second->unused_since = 0;
            }
            continue;
        }

        if (at->second->unused_since == 0) {
            at->second->unused_since = ngx_current_msec;
        }

        if (ngx_current_msec - at->second->unused_since >= unused_grace) {
            unfollow(at);
        } else {
            unused_.insert(name);
        }
    }
}

// From now on the host misses messages of the log, so it counts as not
// synchronized. If a worker has just subscribed to it, it is kept.
void redis_leader::unfollow(replica_map::iterator at)
{
    broker::broker &local = worker_bus::broker();

    (void)local.mark_synced(at->first, 0);

    if (local.describe(at->first, worker_bus::now()).subscribed) {
        at->second->unused_since = 0;
        at->second->keep_following();
        return;
    }

    at->second->unfollow();

    const std::string channel = settings_.prefix + redis::channel(at->first);
    const std::array<std::string_view, 2> args{"UNSUBSCRIBE", channel};

    (void)subscriber_.command(args, nullptr, nullptr);
    replicas_.erase(at);
    host_redis_counters().resources.store(
        static_cast<std::uint32_t>(replicas_.size()));
}

// A part of them each second, to spread the load.
void redis_leader::keep_alive()
{
    auto at = replicas_.upper_bound(kept_alive_);

    for (std::size_t left = replicas_.size() / seconds_per_keep_alive_round + 1;
         left != 0 && !replicas_.empty(); left--) {
        if (at == replicas_.end()) {
            at = replicas_.begin();
        }

        at->second->keep_alive();
        unused_.insert(at->first); // a dead worker does not report it
        kept_alive_ = at->first;
        ++at;
    }
}

} // namespace websocket::nginx
