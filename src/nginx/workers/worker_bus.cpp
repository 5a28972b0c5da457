// Connects this worker to the broker: claims its slot, wakes other workers, and
// dispatches unread messages to their subscribers.
//
// Each slot has an eventfd, which is written only if its worker may be asleep.
#include "nginx/workers/worker_bus.hpp"

#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/core/timer.hpp"
#include "nginx/workers/counters.hpp"
#include "nginx/workers/polling.hpp"
#include "nginx/core/process_exists.hpp"
#include "nginx/workers/slot_retry.hpp"

extern "C" {
#include <ngx_channel.h>
}

#include <optional>
#include <string_view>
#include <utility>

#include <sys/eventfd.h>

namespace websocket::nginx {

redis_counters &host_redis_counters() noexcept
{
    return worker_bus::zone().redis;
}

namespace worker_bus {

namespace {

// Slots of dead workers are reclaimed, and old messages expired, so often.
constexpr ngx_msec_t sweep_interval = 1000;
constexpr std::size_t sweep_budget = 1000;

// Deliveries of one turn, messages times clients, before other events are
// handled. They take about a millisecond.
constexpr std::size_t turn_budget = 16384;

struct bus_state {
    bus_state(shared_zone &of, const settings &from) noexcept
        : zone{of}, options{from}, mutex{of}, access{mutex}
    {}

    shared_zone &zone;
    const settings options;
    zone_mutex mutex;
    broker::broker access;
    unsigned slot = broker::max_slots; // none
};

std::optional<bus_state> state;
bool dispatching = false;
bool dispatch_again = false; // requested while dispatching
bool paused = false;         // see pause_deliveries()
bool unread_while_paused = false;
ngx_queue_t retries; // subscribers that deliver_again() was called for
ngx_event_t dispatch_event;
ngx_event_t sweep_event;

class worker_monitor final : public broker::process_monitor {
public:
    bool alive(std::int32_t pid) noexcept override
    {
        return process_exists(pid);
    }

    void slot_freed(unsigned slot, std::int32_t pid) noexcept override
    {
        counters::clear_dead(state->zone.slot_counters[slot], pid);
    }

    // Appends an entry to the resource's log, which its subscribers read in
    // order.
    void clients_lost(std::string_view name,
                      std::uint32_t clients) noexcept override
    {
        static log_throttle line; // a worker may take many resources along

        if (log_permit permit = line.allows(); permit) {
            write_log(NGX_LOG_NOTICE, ngx_cycle->log,
                      "websocket: %uD clients of a resource were lost "
                      "with their worker%V",
                      clients, permit.suppressed());
        }
        const broker::append_result result =
            state->access.append(name,
                                 {.payload = {},
                                  .time = now(),
                                  .kind = kind_clients_lost,
                                  .transient = true},
                                 {}, now());
        wake(result.wake);

        if (on_clients_lost != nullptr) {
            on_clients_lost(name);
        }
    }
};

// False: nothing is unread.
bool dispatch_next(std::size_t &budget) noexcept
{
    if (!ngx_queue_empty(&retries)) {
        ngx_queue_t *first = ngx_queue_head(&retries);

        ngx_queue_remove(first);
        ngx_queue_init(first);
        auto *link = ngx_queue_data(first, subscriber::retry_link, queue);

        link->owner->deliver(budget);
        return true;
    }

    const broker::unread_subscription next =
        state->access.next_unread(state->slot);

    if (next) {
        static_cast<subscriber *>(next.owner)->deliver(budget);
    }

    return static_cast<bool>(next);
}

void dispatch_unread(ngx_event_t *)
{
    if (paused) {
        unread_while_paused = true;
        return;
    }

    std::size_t budget = turn_budget;

    dispatching = true;
    dispatch_again = false;

    while (budget != 0 && dispatch_next(budget)) {}

    dispatching = false;

    if (budget == 0 || dispatch_again) {
        ngx_post_event(&dispatch_event, &ngx_posted_next_events);
    }
}

// Dispatches in this turn of the event loop.
void post_dispatch() noexcept
{
    if (dispatching) {
        dispatch_again = true;
    } else {
        ngx_post_event(&dispatch_event, &ngx_posted_events);
    }
}

void on_wakeup(ngx_event_t *event)
{
    const auto *c = static_cast<ngx_connection_t *>(event->data);
    eventfd_t count;

    (void)eventfd_read(c->fd, &count);
    dispatch_unread(event);
}

void log_if_full() noexcept
{
    const broker::usage used = state->access.measure();
    const std::uint64_t dropped = used.dropped_unread + used.dropped_history;

    if (dropped > state->zone.dropped_logged.load() &&
        state->zone.full_log.allows()) {
        state->zone.dropped_logged.store(dropped);
        write_log(NGX_LOG_WARN, ngx_cycle->log,
                  "websocket: websocket_shared_memory is full: %uL messages "
                  "were dropped, %uL of them unread; increase it",
                  dropped, used.dropped_unread);
    }
}

void sweep(ngx_event_t *event)
{
    reclaim_dead();
    state->access.expire(now(), sweep_budget);
    log_if_full();
    polling::update();

    if (ngx_exiting) {
        counters::set_draining();

        if (on_exiting != nullptr) {
            on_exiting();
        }
    }

    ngx_add_timer(event, sweep_interval);
}

// The eventfd may still be raised for an earlier process of the slot.
ngx_int_t listen(ngx_cycle_t *cycle, int fd) noexcept
{
    eventfd_t count;

    (void)eventfd_read(fd, &count);
    return ngx_add_channel_event(cycle, fd, NGX_READ_EVENT, on_wakeup);
}

// False, and logged, if the memory is not the broker's.
bool attach(ngx_cycle_t *cycle, shared_zone &zone,
            const settings &options) noexcept
{
    state.emplace(zone, options);

    if (!state->access.attach(zone.memory)) {
        write_log(NGX_LOG_ALERT, cycle->log,
                  "websocket: websocket_shared_memory has another layout; this "
                  "worker refuses WebSockets; restart nginx");
        state.reset();
        return false;
    }

    return true;
}

bool claim_slot() noexcept
{
    worker_monitor monitor;
    const broker::claim_result claimed = state->access.claim(
        ngx_pid, static_cast<std::int32_t>(ngx_process_slot), monitor, now());

    wake(claimed.wake);

    if (!claimed.slot) {
        return false;
    }

    state->slot = *claimed.slot;
    state->zone.inherited_fds[state->slot].store(
        static_cast<std::uint16_t>(state->options.wakeup_fds.size() + 1));
    return true;
}

} // namespace

void reclaim_dead() noexcept
{
    worker_monitor monitor;

    wake(state->access.reclaim_dead(monitor, now()));
}

ngx_int_t start(ngx_cycle_t *cycle, shared_zone &zone,
                const settings &options) noexcept
{
    if (!attach(cycle, zone, options)) {
        return NGX_OK;
    }

    if (!claim_slot()) {
        state.reset();
        retry_start(cycle, zone, options);
        return NGX_OK;
    }

    state->access.limit_logs(options.room_memory);
    ngx_queue_init(&retries);
    counters::start(zone.slot_counters[state->slot]);
    dispatch_event.handler = dispatch_unread;
    dispatch_event.log = cycle->log;
    init_timer(sweep_event, sweep, cycle->log);
    ngx_add_timer(&sweep_event, sweep_interval);

    const bool listens =
        state->slot < state->options.wakeup_fds.size() &&
        listen(cycle, state->options.wakeup_fds[state->slot]) == NGX_OK;

    polling::start(*cycle, zone, state->slot, listens, dispatch_unread);

    if (on_start != nullptr) {
        on_start(cycle);
    }

    return NGX_OK;
}

void stop() noexcept
{
    if (state) {
        state->zone.inherited_fds[state->slot].store(0);
        state->access.release(state->slot, now());
        state.reset();
    }
}

bool running() noexcept
{
    return state.has_value();
}

broker::broker &broker() noexcept
{
    return state->access;
}

shared_zone &zone() noexcept
{
    return state->zone;
}

unsigned slot() noexcept
{
    return state->slot;
}

void deliver_again(subscriber &to) noexcept
{
    ngx_queue_t *link = &to.retry_.queue;

    if (ngx_queue_empty(link)) {
        ngx_queue_insert_tail(&retries, link);
        post_dispatch();
    }
}

void pause_deliveries(bool pause) noexcept
{
    paused = pause;

    if (!paused && std::exchange(unread_while_paused, false)) {
        ngx_post_event(&dispatch_event, &ngx_posted_next_events);
    }
}

void log_dropped(std::string_view name,
                 const broker::append_result &result) noexcept
{
    static log_throttle line;

    if (result.dropped == 0) {
        return;
    }

    if (log_permit permit = line.allows(); permit) {
        write_log(NGX_LOG_WARN, ngx_cycle->log,
                  "websocket: \"%V\" reached websocket_room_memory (%uz "
                  "bytes): dropped its %uD oldest messages%V",
                  name, state->options.room_memory, result.dropped,
                  permit.suppressed());
    }
}

void wake(const broker::slot_set &slots) noexcept
{
    if (slots.none()) {
        return;
    }

    std::size_t left = slots.count();

    for (std::size_t i = 0; left != 0; i++) {
        if (!slots.test(i)) {
            continue;
        }

        left--;

        if (i == state->slot) {
            post_dispatch();
        } else if (i < state->options.wakeup_fds.size()) {
            (void)eventfd_write(state->options.wakeup_fds[i], 1);
        }
    }
}

std::uint64_t host_time() noexcept
{
    const ngx_time_t *time = ngx_timeofday();

    return static_cast<std::uint64_t>(time->sec) * 1000 +
           static_cast<std::uint64_t>(time->msec);
}

std::uint64_t now() noexcept
{
    const std::int64_t redis_clock = state ? state->zone.redis_clock.load() : 0;

    return redis_clock == 0
               ? host_time()
               : ngx_current_msec + static_cast<std::uint64_t>(redis_clock);
}

} // namespace worker_bus

} // namespace websocket::nginx
