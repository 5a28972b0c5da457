// Leading: taken, given up, and what a leader is in touch with.
//
// The host is in touch when Redis has taken down its lease over the connection
// for commands, and sends its heartbeat over the one for news.
#include "nginx/backplane/leader.hpp"

#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/workers/redis_counters.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <algorithm>
#include <new>

namespace websocket::nginx {

namespace {

constexpr ngx_msec_t second = 1000;

// So often a leader looks for clients of a worker that is gone.
constexpr unsigned looks_for_lost = 30;

// A worker that leaves waits so long for one that stays.
constexpr unsigned patience = 2;

void prepare(ngx_event_t &timer, void *data,
             ngx_event_handler_pt handler) noexcept
{
    timer.data = data;
    timer.handler = handler;
    timer.log = ngx_cycle->log;
    timer.cancelable = 1; // it does not keep a leaving worker
}

bool another_worker_stays() noexcept
{
    const shared_zone &zone = worker_bus::zone();
    const std::span blocks(zone.slot_counters, zone.slots);

    return std::any_of(blocks.begin(), blocks.end(), [](const auto &block) {
        const std::int32_t pid = block.pid.load();

        return pid != 0 && pid != ngx_pid && block.draining.get() == 0;
    });
}

} // namespace

redis_leader::redis_leader(const redis_settings &settings,
                           redis_commands &redis)
    : settings_{settings}, redis_{redis},
      news_{settings, *this, redis_connection::role::subscriber},
      control_{*this}, context_{{redis, 0, 0, ask, tell, changed}, *this}
{
    redis.tell(*this);
    prepare(second_, this, second_passed);
    prepare(tick_, this, tick);
    ngx_add_timer(&second_, second);
}

redis_leader::~redis_leader()
{
    if (leading_) {
        resign();
    }

    for (ngx_event_t *timer : {&second_, &tick_}) {
        if (timer->timer_set) {
            ngx_del_timer(timer);
        }
    }
}

void redis_leader::consider() noexcept
{
    if (!leading_ && worker_bus::broker().lead(worker_bus::slot())) {
        lead();
    }
}

void redis_leader::lead() noexcept
{
    leading_ = true;
    vacant_seconds_ = 0;
    worker_bus::broker().set_link_generation(0);

    if (!control_.subscribe(leader_log)) {
        static log_throttle line;

        if (log_permit permit = line.allows(); permit) {
            write_log(NGX_LOG_ERR, ngx_cycle->log,
                      "websocket: no room in websocket_shared_memory to lead "
                      "this host%V",
                      permit.suppressed());
        }

        leading_ = false; // it is tried again
        worker_bus::broker().resign(worker_bus::slot());
        return;
    }

    send_control(workers_log, control_event::leader_up, 0, {});
    news_.open();

    if (redis_.ready()) {
        commands_ready();
    }
}

void redis_leader::resign() noexcept
{
    lose_touch();
    leading_ = false;
    registered_ = false;
    news_.close();
    control_.stop();
    logs_.clear();
    host_redis_counters().resources.store(0);
    worker_bus::broker().resign(worker_bus::slot());
    send_control(workers_log, control_event::leader_down, 0, {});
}

void redis_leader::commands_ready() noexcept
{
    if (leading_) {
        safely([this] { renew(); });
    }
}

void redis_leader::commands_lost() noexcept
{
    registered_ = false;

    if (leading_) {
        // What it has told meanwhile is read from the streams
        lose_touch();
        news_.restart("the connection for commands is lost");
    }
}

void redis_leader::redis_ready() noexcept
{
    safely([this] {
        const std::string channel = settings_.prefix + "b:" +
                                    std::string(worker_bus::zone().host.uid());
        const std::array<std::string_view, 2> words{"SUBSCRIBE", channel};

        if (!news_.command(words, news, this)) {
            throw std::bad_alloc();
        }
    });
}

void redis_leader::redis_lost(std::string_view) noexcept
{
    listening_ = false;
    lose_touch();
}

void redis_leader::lose_touch() noexcept
{
    worker_bus::broker().set_link_generation(0);
    to_subscribe_.clear();
    subscribing_ = 0;
    listening_ = false;

    for (const auto &[name, log] : logs_) {
        log->lost_touch();
    }
}

void redis_leader::get_in_touch() noexcept
{
    if (!leading_ || !registered_ || !listening_ ||
        worker_bus::broker().link_generation() != 0) {
        return;
    }

    context_.link = ++worker_bus::zone().link_generation;
    worker_bus::broker().set_link_generation(context_.link);
    host_redis_counters().connects.add(1);
    safely([this] {
        follow_all();
        look_for_lost();
    });
}

void redis_leader::second_passed(ngx_event_t *event)
{
    auto &own = *static_cast<redis_leader *>(event->data);

    own.safely([&own] { own.each_second(); });
    ngx_add_timer(event, second);
}

void redis_leader::each_second()
{
    if (!leading_) {
        if (!ngx_exiting || vacant_seconds_++ >= patience) {
            consider();
        }
        return;
    }

    if (ngx_exiting && another_worker_stays()) {
        resign();
        return;
    }

    // Redis may have refused it, and will not for ever: it had no memory, was
    // busy, or a replica
    if (redis_.ready() && (!registered_ || lease_is_due())) {
        renew();
    }

    leave_unused();

    if (!registered_) {
        return;
    }

    keep_alive();
    tell_changes();

    if (++seconds_ % looks_for_lost == 0) {
        look_for_lost();
    }

    for (const auto &[name, log] : logs_) {
        log->try_again();
    }
}

} // namespace websocket::nginx
