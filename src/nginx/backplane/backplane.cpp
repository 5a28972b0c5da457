// This worker's part in it: its connection, its queue, and whether it leads.
#include "nginx/backplane/backplane.hpp"

#include "nginx/backplane/leader.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/workers/control_channel.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <array>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace websocket::nginx::backplane {

namespace {

// A client's id stays below 2^53: so many bits are the host's number.
constexpr unsigned number_bits = 40;

// Where there is a master a reload makes new processes; else this one goes on
// with what it began with, whose configuration will be gone.
redis_settings kept_settings(const redis_settings &of)
{
    redis_settings kept = of;

    kept.resolver = ngx_process == NGX_PROCESS_SINGLE ? nullptr : kept.resolver;
    return kept;
}

void congestion_changed(bool begins) noexcept
{
    congested = begins;

    if (!begins && on_congestion_end != nullptr) {
        on_congestion_end();
    }
}

class worker_part final : control_reader::listener, redis_commands::listener {
public:
    explicit worker_part(const redis_settings &given)
        : settings{kept_settings(given)}, redis{settings}, publisher{redis},
          leader{settings, redis}
    {
        publisher.on_congestion = congestion_changed;
    }

    void start()
    {
        if (!workers_.subscribe(workers_log) ||
            !own_.subscribe(worker_log(worker_bus::slot()))) {
            throw std::bad_alloc();
        }

        redis.tell(*this);
        redis.open();
        leader.consider();
    }

    bool wait_for_sync(sync_waiter &waiter)
    {
        waiter.token = ++tokens_ * broker::max_slots + worker_bus::slot();
        waiting_.emplace(waiter.token, &waiter);
        ask_for(waiter);
        return true;
    }

    void forget(sync_waiter &waiter) { waiting_.erase(waiter.token); }

    const redis_settings settings;
    redis_commands redis;
    redis_publisher publisher;
    redis_leader leader;

private:
    void ask_for(const sync_waiter &waiter) noexcept
    {
        send_control(leader_log, control_event::sync_wanted, waiter.token,
                     waiter.waits_for);
    }

    void on_event(control_event what, std::uint64_t from,
                  std::string_view) noexcept override
    {
        switch (what) {
        case control_event::synced:
            release(from);
            return;
        case control_event::leader_down:
            if (!ngx_exiting) {
                leader.consider();
            }
            return;
        case control_event::leader_up:
            on_overrun();
            return;
        case control_event::redis_up:
            redis.hurry();
            leader.hurry();
            return;
        default:
            return;
        }
    }

    // Who waits to try again need not
    void commands_ready() noexcept override
    {
        send_control(workers_log, control_event::redis_up, 0, {});
    }

    void commands_lost() noexcept override {}

    // What the leader does not know of, or has answered unheard
    void on_overrun() noexcept override
    {
        for (const auto &[token, waiter] : waiting_) {
            ask_for(*waiter);
        }
    }

    void release(std::uint64_t token) noexcept
    {
        const auto found = waiting_.find(token);

        if (found != waiting_.end()) {
            sync_waiter &waiter = *found->second;

            waiting_.erase(found);
            waiter.synced();
        }
    }

    control_reader workers_{*this};
    control_reader own_{*this};
    std::unordered_map<std::uint64_t, sync_waiter *> waiting_;
    std::uint64_t tokens_ = 0;
};

std::optional<worker_part> own;

bool configured = false;

// Resources of a worker that has died, as this one found while it came.
std::vector<std::string> lost_before_start;

} // namespace

void start(ngx_cycle_t *cycle) noexcept
try {
    const redis_settings *settings = main_conf_of(*cycle).redis;

    configured = settings != nullptr;

    if (configured) {
        own.emplace(*settings);
        own->start();
    }

    for (const std::string &name : std::exchange(lost_before_start, {})) {
        clients_changed(name, true);
    }
} catch (const std::bad_alloc &) {
    own.reset();
    write_log(NGX_LOG_ERR, cycle->log,
              "websocket: no memory to be in touch with Redis: this "
              "worker serves no WebSockets");
}

void stop() noexcept
{
    if (own) {
        own->leader.leave_if_last();
        own.reset();
    }
}

bool used() noexcept
{
    return configured;
}

std::uint64_t id_of_client(std::uint64_t number) noexcept
{
    const std::uint64_t host = worker_bus::zone().host.id_prefix.load();

    return host << number_bits |
           (number & ((std::uint64_t{1} << number_bits) - 1));
}

bool publish(const publish_order &order) noexcept
{
    return own && own->publisher.publish(order);
}

void clients_changed(std::string_view name, bool lost) noexcept
try {
    if (!configured) {
        lost_before_start.emplace_back(name);
        return;
    }

    send_control(leader_log,
                 lost ? control_event::clients_lost
                      : control_event::clients_changed,
                 0, name);
} catch (const std::bad_alloc &) {
    // They will see that there are less
}

ngx_msec_t handshake_time() noexcept
{
    return own ? own->settings.connect_timeout : 0;
}

bool wait_for_sync(sync_waiter &waiter) noexcept
try {
    return own && own->wait_for_sync(waiter);
} catch (const std::bad_alloc &) {
    return false;
}

void forget(sync_waiter &waiter) noexcept
{
    if (own) {
        own->forget(waiter);
    }
}

} // namespace websocket::nginx::backplane
