// Wakes workers that have news, and is woken: an eventfd for each slot of the
// broker, written only when its worker may be asleep.
#include "nginx/workers/worker_bus.hpp"

#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/workers/counters.hpp"
#include "nginx/workers/polling.hpp"

extern "C" {
#include <ngx_channel.h>
}

#include <optional>
#include <string_view>

#include <signal.h>
#include <sys/eventfd.h>

namespace websocket::nginx {

redis_counters &host_redis_counters() noexcept
{
    return worker_bus::zone().redis;
}

namespace worker_bus {

namespace {

// Dead workers are looked for, and old messages dropped, so often.
constexpr ngx_msec_t sweep_interval = 1000;
constexpr std::size_t sweep_budget = 1000;

// Without a slot, one is asked for so often.
constexpr ngx_msec_t retry_interval = 1000;

// What one turn may deliver before other events have theirs: so many messages
// times clients, which take about a millisecond.
constexpr std::size_t turn_budget = 16384;

struct place {
    place(shared_zone &of, const settings &from) noexcept
        : zone{of}, options{from}, mutex{of}, access{mutex}
    {}

    shared_zone &zone;
    const settings options;
    zone_mutex mutex;
    broker::broker access;
    unsigned slot = broker::max_slots; // none
};

// What a worker without a slot tries again with.
struct attempt {
    shared_zone &zone;
    settings options;
};

std::optional<place> own;
std::optional<attempt> awaited;
bool reading = false; // news are being read: what comes up is among them
bool more_to_read = false;
ngx_queue_t again; // readers whose delivery is to be tried again
ngx_event_t news_event;
ngx_event_t sweep_event;
ngx_event_t retry_event;
ngx_connection_t no_connection; // whose number nginx's debug log shows

class watch final : public broker::process_monitor {
public:
    bool alive(std::int32_t pid) noexcept override
    {
        return kill(pid, 0) == 0 || ngx_errno != ESRCH;
    }

    // All who know the resource are told, in its order.
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
        const broker::append_result told =
            own->access.append(name,
                               {.payload = {},
                                .time = now(),
                                .kind = kind_clients_lost,
                                .transient = true},
                               {}, now());
        wake(told.wake);

        if (on_clients_lost != nullptr) {
            on_clients_lost(name);
        }
    }
};

// False: nothing is left.
bool read_next(std::size_t &budget) noexcept
{
    if (!ngx_queue_empty(&again)) {
        ngx_queue_t *first = ngx_queue_head(&again);

        ngx_queue_remove(first);
        ngx_queue_init(first);
        auto *link = ngx_queue_data(first, subscriber::retry_link, queue);

        link->owner->deliver(budget);
        return true;
    }

    const broker::unread_subscription next = own->access.next_unread(own->slot);

    if (next) {
        static_cast<subscriber *>(next.owner)->deliver(budget);
    }

    return static_cast<bool>(next);
}

void read_news(ngx_event_t *)
{
    std::size_t budget = turn_budget;

    reading = true;
    more_to_read = false;

    while (budget != 0 && read_next(budget)) {}

    reading = false;

    if (budget == 0 || more_to_read) {
        ngx_post_event(&news_event, &ngx_posted_next_events);
    }
}

// In this turn, unless it is at it.
void post_reading() noexcept
{
    if (reading) {
        more_to_read = true;
    } else {
        ngx_post_event(&news_event, &ngx_posted_events);
    }
}

void woken(ngx_event_t *event)
{
    const auto *c = static_cast<ngx_connection_t *>(event->data);
    eventfd_t count;

    (void)eventfd_read(c->fd, &count);
    read_news(event);
}

// What is dropped was still wanted.
void say_if_full() noexcept
{
    const broker::usage seen = own->access.measure();
    const std::uint64_t dropped = seen.dropped_unread + seen.dropped_history;

    if (dropped > own->zone.dropped_logged.load() &&
        own->zone.full_log.allows()) {
        own->zone.dropped_logged.store(dropped);
        write_log(NGX_LOG_WARN, ngx_cycle->log,
                  "websocket: websocket_shared_memory is full: %uL "
                  "messages were dropped, %uL before all workers had "
                  "read them",
                  dropped, seen.dropped_unread);
    }
}

void sweep(ngx_event_t *event)
{
    watch deaths;

    wake(own->access.reclaim_dead(deaths, now()));
    own->access.expire(now(), sweep_budget);
    say_if_full();
    polling::update();

    if (ngx_exiting) {
        counters::set_draining();
    }

    ngx_add_timer(event, sweep_interval);
}

// A slot may have been another process's: its eventfd may still be raised.
ngx_int_t listen(ngx_cycle_t *cycle, int waker) noexcept
{
    eventfd_t count;

    (void)eventfd_read(waker, &count);
    return ngx_add_channel_event(cycle, waker, NGX_READ_EVENT, woken);
}

void set_timer_handler(ngx_event_t &event, ngx_event_handler_pt handler,
                       ngx_cycle_t *cycle) noexcept
{
    no_connection.fd = -1;
    event.data = &no_connection;
    event.handler = handler;
    event.log = cycle->log;
    event.cancelable = 1; // it must not delay a graceful shutdown
}

void start_again(ngx_event_t *event);

// False: it is logged why.
bool attach(ngx_cycle_t *cycle, shared_zone &zone,
            const settings &given) noexcept
{
    own.emplace(zone, given);

    if (!own->access.attach(zone.memory)) {
        write_log(NGX_LOG_ALERT, cycle->log,
                  "websocket: the shared memory is another module's");
        own.reset();
        return false;
    }

    return true;
}

bool take_slot() noexcept
{
    watch deaths;
    const broker::claim_result taken = own->access.claim(
        ngx_pid, static_cast<std::int32_t>(ngx_process_slot), deaths, now());

    wake(taken.wake);

    if (!taken.slot) {
        return false;
    }

    own->slot = *taken.slot;
    own->zone.inherited_fds[own->slot].store(
        static_cast<std::uint16_t>(own->options.wakeup_fds.size() + 1));
    return true;
}

// A slot is free again when one of the workers that shut down has ended.
void try_later(ngx_cycle_t *cycle, shared_zone &zone,
               const settings &given) noexcept
{
    awaited.emplace(attempt{zone, given});

    if (retry_event.handler == nullptr) {
        write_log(NGX_LOG_ERR, cycle->log,
                  "websocket: no free worker slot of %uz: too many workers "
                  "are alive; this one serves no WebSockets until another "
                  "one has ended",
                  zone.slots);
        set_timer_handler(retry_event, start_again, cycle);
    }

    ngx_add_timer(&retry_event, retry_interval);
}

void start_again(ngx_event_t *)
{
    auto *cycle = const_cast<ngx_cycle_t *>(ngx_cycle);

    if (ngx_exiting ||
        start(cycle, awaited->zone, awaited->options) != NGX_OK || !own) {
        return;
    }

    write_log(NGX_LOG_NOTICE, cycle->log,
              "websocket: this worker has a slot now and serves WebSockets");
}

} // namespace

ngx_int_t start(ngx_cycle_t *cycle, shared_zone &zone,
                const settings &given) noexcept
{
    if (!attach(cycle, zone, given)) {
        return NGX_OK;
    }

    if (!take_slot()) {
        own.reset();
        try_later(cycle, zone, given);
        return NGX_OK;
    }

    own->access.limit_logs(given.room_memory);
    ngx_queue_init(&again);
    counters::start(zone.slot_counters[own->slot]);
    news_event.handler = read_news;
    news_event.log = cycle->log;
    set_timer_handler(sweep_event, sweep, cycle);
    ngx_add_timer(&sweep_event, sweep_interval);

    const bool listens =
        own->slot < own->options.wakeup_fds.size() &&
        listen(cycle, own->options.wakeup_fds[own->slot]) == NGX_OK;

    polling::start(*cycle, zone, own->slot, listens, read_news);

    if (on_start != nullptr) {
        on_start(cycle);
    }

    return NGX_OK;
}

void stop() noexcept
{
    if (own) {
        own->zone.inherited_fds[own->slot].store(0);
        own->access.release(own->slot, now());
        own.reset();
    }
}

bool running() noexcept
{
    return own.has_value();
}

broker::broker &broker() noexcept
{
    return own->access;
}

shared_zone &zone() noexcept
{
    return own->zone;
}

unsigned slot() noexcept
{
    return own->slot;
}

void deliver_again(subscriber &reader) noexcept
{
    ngx_queue_t *link = &reader.again_.queue;

    if (ngx_queue_empty(link)) {
        ngx_queue_insert_tail(&again, link);
        post_reading();
    }
}

void log_dropped(std::string_view name,
                 const broker::append_result &done) noexcept
{
    static log_throttle line;

    if (done.dropped == 0) {
        return;
    }

    if (log_permit permit = line.allows(); permit) {
        write_log(NGX_LOG_WARN, ngx_cycle->log,
                  "websocket: \"%V\" reached websocket_room_memory (%uz "
                  "bytes): %uD of its oldest messages were dropped%V",
                  name, own->options.room_memory, done.dropped,
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

        if (i == own->slot) {
            post_reading();
        } else if (i < own->options.wakeup_fds.size()) {
            (void)eventfd_write(own->options.wakeup_fds[i], 1);
        }
    }
}

std::uint64_t now() noexcept
{
    const ngx_time_t *time = ngx_timeofday();

    return static_cast<std::uint64_t>(time->sec) * 1000 +
           static_cast<std::uint64_t>(time->msec);
}

} // namespace worker_bus

} // namespace websocket::nginx
