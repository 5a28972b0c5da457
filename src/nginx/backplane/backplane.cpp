// Connects this worker to the other hosts: its connection, its publisher, and
// the leader, if it leads.
#include "nginx/backplane/backplane.hpp"

#include "nginx/backplane/leader.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/core/timer.hpp"
#include "nginx/workers/control_channel.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace websocket::nginx::backplane {

namespace {

// Client ids stay below 2^53: these bits are the number within the host.
constexpr unsigned number_bits = 40;

// With a master, a reload starts new processes. A single process keeps its
// first settings, but the resolver of their configuration is freed.
redis_settings worker_settings(const redis_settings &of)
{
    redis_settings result = of;

    result.resolver =
        ngx_process == NGX_PROCESS_SINGLE ? nullptr : result.resolver;
    return result;
}

void set_congested(bool begins) noexcept
{
    congested = begins;

    if (!begins && on_congestion_end != nullptr) {
        on_congestion_end();
    }
}

class worker_state final : control_reader::listener, shard_router::listener {
public:
    explicit worker_state(const redis_settings &configured)
        : settings{worker_settings(configured)}, redis{settings},
          publisher{redis}, leader{redis}
    {
        publisher.on_congestion = set_congested;
    }

    void start()
    {
        if (!workers_channel_.subscribe(workers_log) ||
            !own_channel_.subscribe(worker_log(worker_bus::slot()))) {
            throw std::bad_alloc();
        }

        redis.add_listener(*this);

        for (shard_router::listener *each : listeners) {
            if (each != nullptr) {
                redis.add_listener(*each);
            }
        }

        redis.open();
        leader.try_lead();
    }

    bool wait_for_sync(sync_waiter &waiter)
    {
        waiter.token = ++last_token_ * broker::max_slots + worker_bus::slot();
        waiting_.emplace(waiter.token, &waiter);
        to_request_.push_back(waiter.token);
        request_syncs();
        return true;
    }

    void cancel_sync(sync_waiter &waiter) noexcept
    try {
        waiting_.erase(waiter.token);
        requested_.erase(waiter.token);
        request_syncs();
    } catch (const std::bad_alloc &) {
        // The next one that ends requests more
    }

    // Reports clients of a resource that a dead worker had. If that was the
    // leader, nobody reads the event yet: the next leader gets it once more.
    void report_loss(std::string_view name)
    {
        forget_old_losses();
        send_control(leader_log, control_event::clients_lost, 0, name);
        losses_.push_back({ngx_current_msec, std::string(name)});
    }

    const redis_settings settings;
    shard_router redis;
    redis_publisher publisher;
    redis_leader leader;

private:
    struct loss {
        ngx_msec_t time;
        std::string name;
    };

    // Longer than the election of a leader takes
    static constexpr ngx_msec_t loss_lifetime = 30'000;

    // They are in the order of time: a dead worker may have had many resources
    void forget_old_losses() noexcept
    {
        const auto first_kept =
            std::ranges::find_if(losses_, [](const loss &each) {
                return ngx_current_msec - each.time <= loss_lifetime;
            });

        losses_.erase(losses_.begin(), first_kept);
    }

    // The others wait for replies, so that they do not fill the leader's log.
    static constexpr std::size_t max_requested = 64;

    void request_syncs()
    {
        while (requested_.size() < max_requested && !to_request_.empty()) {
            const auto next = waiting_.find(to_request_.front());

            to_request_.pop_front();

            if (next != waiting_.end()) {
                requested_.insert(next->first);
                request_sync(*next->second);
            }
        }
    }

    void request_sync(const sync_waiter &waiter) noexcept
    {
        send_control(leader_log, control_event::sync_wanted, waiter.token,
                     waiter.resource_name);
    }

    void on_event(control_event what, std::uint64_t from,
                  std::string_view) noexcept override
    {
        switch (what) {
        case control_event::synced:
            finish_wait(from);
            return;
        case control_event::leader_down:
            if (!ngx_exiting) {
                leader.try_lead();
            }
            return;
        case control_event::leader_up:
            on_overrun();
            return;
        case control_event::redis_up:
            redis.retry_now();
            return;
        case control_event::clients_unleased:
            if (on_clients_unleased != nullptr) {
                on_clients_unleased(static_cast<unsigned>(from));
            }
            return;
        default:
            return;
        }
    }

    // Other workers need not wait for their backoff
    void on_redis_up() noexcept override
    {
        send_control(workers_log, control_event::redis_up, 0, {});
    }

    // A new leader does not know these events; or replies were missed
    void on_overrun() noexcept override
    {
        forget_old_losses();

        // Only once: a leader that has missed events announces itself again
        for (const loss &each : std::exchange(losses_, {})) {
            send_control(leader_log, control_event::clients_lost, 0, each.name);
        }

        for (const std::uint64_t token : requested_) {
            request_sync(*waiting_.at(token));
        }
    }

    void finish_wait(std::uint64_t token) noexcept
    {
        const auto found = waiting_.find(token);

        if (found != waiting_.end()) {
            sync_waiter &waiter = *found->second;

            waiting_.erase(found);
            requested_.erase(token);
            waiter.on_synced();
        }
    }

    control_reader workers_channel_{*this};
    control_reader own_channel_{*this};
    std::vector<loss> losses_;
    std::unordered_map<std::uint64_t, sync_waiter *> waiting_;
    std::set<std::uint64_t> requested_;    // of them: the leader was asked
    std::deque<std::uint64_t> to_request_; // it is to be asked; or cancelled

    // No token is one of an earlier worker with this slot, for which the leader
    // may still answer
    std::uint64_t last_token_ = worker_bus::host_time() << 10;
};

std::optional<worker_state> state;

bool redis_configured = false;

// Resources with clients of a worker that died before start().
std::vector<std::string> pending_losses;

// Memory that is full may have room again when clients have left.
constexpr ngx_msec_t retry_interval = 1000;

ngx_event_t retry_event;

void retry(ngx_event_t *)
{
    auto *cycle = const_cast<ngx_cycle_t *>(ngx_cycle);

    if (ngx_exiting || !worker_bus::running()) {
        return;
    }

    start(cycle);

    if (state) {
        write_log(NGX_LOG_NOTICE, cycle->log,
                  "websocket: this worker connects to Redis now");
    }
}

void retry_later(ngx_cycle_t *cycle) noexcept
{
    if (retry_event.handler == nullptr) {
        write_log(NGX_LOG_ERR, cycle->log,
                  "websocket: no memory for a connection to Redis, probably "
                  "as websocket_shared_memory is full: this worker refuses "
                  "what needs Redis and tries again each second");
        init_timer(retry_event, retry, cycle->log);
    }

    ngx_add_timer(&retry_event, retry_interval);
}

} // namespace

void start(ngx_cycle_t *cycle) noexcept
try {
    const redis_settings *settings = main_conf_of(*cycle).redis;

    redis_configured = settings != nullptr;

    if (redis_configured) {
        state.emplace(*settings);
        state->start();
    }

    for (const std::string &name : std::exchange(pending_losses, {})) {
        clients_changed(name, true);
    }
} catch (const std::bad_alloc &) {
    state.reset();
    retry_later(cycle);
}

void stop() noexcept
{
    if (state) {
        state->leader.unregister_if_last();
        state.reset();
    }
}

bool enabled() noexcept
{
    return redis_configured;
}

std::uint64_t client_id(std::uint64_t number) noexcept
{
    const std::uint64_t host = worker_bus::zone().host.id_prefix.load();

    return host << number_bits |
           (number & ((std::uint64_t{1} << number_bits) - 1));
}

std::optional<std::uint64_t> other_host_of(std::uint64_t id) noexcept
{
    const std::uint64_t host = id >> number_bits;

    return host == worker_bus::zone().host.id_prefix.load()
               ? std::nullopt
               : std::optional(host);
}

unsigned shard_of_client(std::uint64_t id) noexcept
{
    return redis::id_prefix_shard(
        static_cast<std::uint32_t>(id >> number_bits));
}

shard_router *router() noexcept
{
    return state ? &state->redis : nullptr;
}

bool is_last_worker() noexcept
{
    return redis_leader::is_last_worker();
}

bool publish(const publish_request &request) noexcept
{
    return state && state->publisher.publish(request);
}

void clients_changed(std::string_view name, bool lost) noexcept
try {
    if (!redis_configured) {
        pending_losses.emplace_back(name);
    } else if (lost && state) {
        state->report_loss(name);
    } else {
        send_control(leader_log,
                     lost ? control_event::clients_lost
                          : control_event::clients_changed,
                     0, name);
    }
} catch (const std::bad_alloc &) {
    // The clients see the new count later
}

void user_changed(std::string_view name, std::string_view user) noexcept
try {
    send_control(leader_log, control_event::user_changed, 0,
                 std::string(name).append(1, '\0').append(user));
} catch (const std::bad_alloc &) {
    // The next change of this user reports the present state
}

// Without a link a handshake waits only as long as a new leader may need.
ngx_msec_t handshake_timeout() noexcept
{
    constexpr ngx_msec_t without_link = 300;

    if (!state) {
        return 0;
    }

    return accepted_timeout() != 0 &&
                   worker_bus::broker().link_generation() == 0
               ? std::min(without_link, state->settings.connect_timeout)
               : state->settings.connect_timeout;
}

ngx_msec_t accepted_timeout() noexcept
{
    return state ? state->settings.wait : 0;
}

bool wait_for_sync(sync_waiter &waiter) noexcept
try {
    return state && state->wait_for_sync(waiter);
} catch (const std::bad_alloc &) {
    return false;
}

void cancel_sync(sync_waiter &waiter) noexcept
{
    if (state) {
        state->cancel_sync(waiter);
    }
}

} // namespace websocket::nginx::backplane
