// Compares how many eventfds each worker has inherited with this worker's slot.
#include "nginx/workers/polling.hpp"

#include "nginx/workers/worker_bus.hpp"

#include <signal.h>

namespace websocket::nginx::polling {

namespace {

constexpr ngx_msec_t interval = 20;

shared_zone *shared = nullptr;
unsigned own_slot = 0;
bool woken = false; // by those that have inherited its eventfd
bool needed = false;
ngx_event_handler_pt look = nullptr;
ngx_event_t event;
ngx_connection_t no_connection; // whose number nginx's debug log shows

bool alive(unsigned slot) noexcept
{
    const std::int32_t pid = shared->slot_counters[slot].pid.load();

    return pid != 0 && (kill(pid, 0) == 0 || ngx_errno != ESRCH);
}

bool all_can_wake() noexcept
{
    if (!woken) {
        return false;
    }

    for (unsigned slot = 0; slot != shared->slots; slot++) {
        const unsigned known = shared->inherited_fds[slot].load();

        if (known != 0 && known <= own_slot + 1 && alive(slot)) {
            return false;
        }
    }

    return true;
}

void on_timer(ngx_event_t *)
{
    if (needed && worker_bus::running()) {
        ngx_add_timer(&event, interval);
        look(&event);
    }
}

} // namespace

void start(ngx_cycle_t &cycle, shared_zone &zone, unsigned slot,
           bool can_be_woken, ngx_event_handler_pt read_news) noexcept
{
    shared = &zone;
    own_slot = slot;
    woken = can_be_woken;
    look = read_news;
    no_connection.fd = -1;
    event.data = &no_connection;
    event.handler = on_timer;
    event.log = cycle.log;
    event.cancelable = 1; // it must not delay a graceful shutdown
    update();
}

void update() noexcept
{
    needed = !all_can_wake();

    if (needed && !event.timer_set) {
        ngx_add_timer(&event, interval);
    }
}

} // namespace websocket::nginx::polling
