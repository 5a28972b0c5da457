// Which logs are followed, and what comes of them.
#include "nginx/backplane/leader.hpp"

#include "nginx/workers/redis_counters.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

// So many channels are asked for before the first is confirmed.
constexpr std::size_t most_subscribing = 256;

// What changes within that time is told in one go.
constexpr ngx_msec_t tick_time = 20;

// Who comes back at once finds the log as it was.
constexpr ngx_msec_t unused_time = 1'000;

// A log's keys are kept alive once in so many seconds.
constexpr std::size_t keep_alive_round = 60;

struct log_call {
    redis_leader &leader;
    std::string name;
    std::uint64_t number;
};

struct keep_alive_survey {
    std::array<broker::scanned_log, 256> logs;
    std::array<std::byte, 4 * broker::max_name_size> names;
};

keep_alive_survey keep_alive_buffers;

} // namespace

followed_log *redis_leader::find(std::string_view name) noexcept
{
    const auto found = logs_.find(name);

    return found == logs_.end() ? nullptr : found->second.get();
}

followed_log &redis_leader::follow(std::string_view name)
{
    if (followed_log *known = find(name); known != nullptr) {
        return *known;
    }

    auto made = std::make_unique<followed_log>(context_, name);
    followed_log &log = *made;

    if (worker_bus::broker().link_generation() != 0) {
        to_subscribe_.emplace_back(name); // else all are, with the link
    }

    logs_.emplace(std::string(name), std::move(made));
    host_redis_counters().resources.store(
        static_cast<std::uint32_t>(logs_.size()));
    subscribe_more();
    return log;
}

// What the workers have subscribed to while nobody led, and what was followed
// when touch was lost.
void redis_leader::follow_all()
{
    broker::scan_cursor cursor;
    broker::scan_result found{.more = true};

    for (const auto &[name, log] : logs_) {
        to_subscribe_.push_back(name);
    }

    while (found.more) {
        found = worker_bus::broker().scan(
            cursor, {keep_alive_buffers.names, keep_alive_buffers.logs}, 256);

        for (const broker::scanned_log &log :
             std::span(keep_alive_buffers.logs).first(found.count)) {
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
           !to_subscribe_.empty() && subscribing_ < most_subscribing) {
        if (find(to_subscribe_.front()) == nullptr) {
            to_subscribe_.pop_front(); // left meanwhile
            continue;
        }

        const std::string channel =
            settings_.prefix + "n:" + to_subscribe_.front();
        const std::array<std::string_view, 2> words{"SUBSCRIBE", channel};

        if (!news_.command(words, news, this)) {
            return; // it is about to be lost
        }

        to_subscribe_.pop_front();
        subscribing_++;
    }
}

void redis_leader::news(void *data, const redisReply *reply) noexcept
{
    auto &own = *static_cast<redis_leader *>(data);

    if (reply == nullptr || reply->type != REDIS_REPLY_ARRAY ||
        reply->elements != 3) {
        return;
    }

    const auto parts = list_in(reply);

    own.safely([&own, &parts] {
        own.take_news(text_in(parts[0]), text_in(parts[1]), text_in(parts[2]));
    });
}

void redis_leader::take_news(std::string_view type, std::string_view channel,
                             std::string_view text)
{
    if (!leading_ || !channel.starts_with(settings_.prefix)) {
        return;
    }

    channel.remove_prefix(settings_.prefix.size());

    if (channel.starts_with("b:")) {
        heartbeat_at_ = 0;
        heartbeat_ = true;
        listening_ = true;
        get_in_touch();
        return;
    }

    if (type == "subscribe") {
        subscribing_ -= subscribing_ > 0 ? 1 : 0;
        subscribe_more();
    }

    if (followed_log *log = find(channel.substr(std::min<std::size_t>(
            channel.size(), std::string_view("n:").size())));
        log != nullptr && type == "subscribe") {
        log->subscribed();
    } else if (log != nullptr && type == "message") {
        log->heard(text);
    }
}

bool redis_leader::ask(followed_log::context &own, const script_call &call,
                       std::string_view name, std::uint64_t number)
{
    auto made = std::make_unique<log_call>(log_call{
        static_cast<following &>(own).leader, std::string(name), number});

    if (!own.redis.run(call, sync_answered, made.get())) {
        return false;
    }

    (void)made.release();
    return true;
}

void redis_leader::sync_answered(void *data, const redisReply *reply) noexcept
{
    const std::unique_ptr<log_call> call(static_cast<log_call *>(data));

    if (reply == nullptr) {
        return; // commands_lost() follows
    }

    call->leader.safely([&] {
        if (followed_log *log = call->leader.find(call->name); log != nullptr) {
            log->sync_answered(*reply, call->number);
        }
    });
}

bool redis_leader::tell(followed_log::context &own, const script_call &call,
                        std::string_view name)
{
    auto made = std::make_unique<log_call>(
        log_call{static_cast<following &>(own).leader, std::string(name), 0});

    if (!own.redis.run(call, tell_answered, made.get())) {
        return false;
    }

    (void)made.release();
    return true;
}

// Refused: it is told again within a second.
void redis_leader::tell_answered(void *data, const redisReply *reply) noexcept
{
    const std::unique_ptr<log_call> call(static_cast<log_call *>(data));

    if (reply == nullptr || error_in(reply).empty()) {
        return;
    }

    call->leader.safely([&] {
        if (followed_log *log = call->leader.find(call->name); log != nullptr) {
            log->doubt_clients();
            call->leader.changed_.insert(call->name);
        }
    });
}

void redis_leader::changed(followed_log::context &own, std::string_view name)
{
    static_cast<following &>(own).leader.tell_soon(name);
}

void redis_leader::tell_soon(std::string_view name)
{
    changed_.emplace(name);

    if (!tick_.timer_set) {
        ngx_add_timer(&tick_, tick_time);
    }
}

void redis_leader::on_event(control_event what, std::uint64_t from,
                            std::string_view name) noexcept
{
    safely([&] {
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

// Who wanted a sync says so again when a leader comes.
void redis_leader::on_overrun() noexcept
{
    send_control(workers_log, control_event::leader_up, 0, {});

    safely([this] {
        if (worker_bus::broker().link_generation() != 0) {
            follow_all();
        }
        for (const auto &[name, log] : logs_) {
            changed_.insert(name);
        }
        tell_changes();
    });
}

// Those of a log that is not followed were lost before this worker led.
void redis_leader::clients_changed(std::string_view name, bool lost)
{
    if (find(name) == nullptr) {
        if (!worker_bus::broker()
                 .describe(name, worker_bus::now())
                 .subscribed) {
            return;
        }
        follow(name);
    }

    if (lost) {
        lost_.emplace(name);
    }

    tell_soon(name);
}

void redis_leader::tick(ngx_event_t *event)
{
    auto &own = *static_cast<redis_leader *>(event->data);

    own.safely([&own] { own.tell_changes(); });
}

void redis_leader::tell_changes()
{
    const auto changed = std::exchange(changed_, {});
    const auto lost = std::exchange(lost_, {});

    for (const std::string &name : changed) {
        if (followed_log *log = find(name); log != nullptr) {
            log->tell_clients(lost.contains(name));
            unused_.insert(name);
        }
    }
}

void redis_leader::leave_unused()
{
    const auto names = std::exchange(unused_, {});

    for (const std::string &name : names) {
        const auto at = logs_.find(name);

        if (at == logs_.end() ||
            worker_bus::broker().describe(name, worker_bus::now()).subscribed) {
            if (at != logs_.end()) {
                at->second->unused_since = 0;
            }
            continue;
        }

        if (at->second->unused_since == 0) {
            at->second->unused_since = ngx_current_msec;
        }

        if (ngx_current_msec - at->second->unused_since >= unused_time) {
            leave(at);
        } else {
            unused_.insert(name);
        }
    }
}

// What comes for it from now on does not reach the host: who comes to it finds
// it out of sync. Who came just before that keeps it.
void redis_leader::leave(log_map::iterator at)
{
    broker::broker &local = worker_bus::broker();

    (void)local.mark_synced(at->first, 0);

    if (local.describe(at->first, worker_bus::now()).subscribed) {
        at->second->unused_since = 0;
        at->second->stay();
        return;
    }

    at->second->leave();

    const std::string channel = settings_.prefix + "n:" + at->first;
    const std::array<std::string_view, 2> words{"UNSUBSCRIBE", channel};

    (void)news_.command(words, nullptr, nullptr);
    logs_.erase(at);
    host_redis_counters().resources.store(
        static_cast<std::uint32_t>(logs_.size()));
}

// Some of them each time, so that there is no rush.
void redis_leader::keep_alive()
{
    auto at = logs_.upper_bound(kept_alive_);

    for (std::size_t left = logs_.size() / keep_alive_round + 1;
         left != 0 && !logs_.empty(); left--) {
        if (at == logs_.end()) {
            at = logs_.begin();
        }

        at->second->keep_alive();
        unused_.insert(at->first); // perhaps: nobody says so of a dead worker
        kept_alive_ = at->first;
        ++at;
    }
}

} // namespace websocket::nginx
