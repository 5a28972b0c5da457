// Polls while a live worker has not inherited the eventfd of this worker's
// slot.
#include "nginx/workers/polling.hpp"

#include "nginx/core/timer.hpp"
#include "nginx/workers/worker_bus.hpp"

namespace websocket::nginx::polling {

namespace {

constexpr ngx_msec_t interval = 20;

shared_zone *shared = nullptr;
unsigned this_slot = 0;
bool listening = false; // on the eventfd of the slot
bool needed = false;
ngx_event_handler_pt dispatch = nullptr;
ngx_event_t event;

bool all_can_wake() noexcept
{
    if (!listening) {
        return false;
    }

    for (unsigned slot = 0; slot != shared->slots; slot++) {
        const unsigned inherited = shared->inherited_fds[slot].load();

        if (inherited != 0 && inherited <= this_slot + 1 &&
            counters::in_use(shared->slot_counters[slot])) {
            return false;
        }
    }

    return true;
}

void on_timer(ngx_event_t *)
{
    if (needed && worker_bus::running()) {
        ngx_add_timer(&event, interval);
        dispatch(&event);
    }
}

} // namespace

void start(ngx_cycle_t &cycle, shared_zone &zone, unsigned slot,
           bool can_be_woken, ngx_event_handler_pt dispatch_unread) noexcept
{
    shared = &zone;
    this_slot = slot;
    listening = can_be_woken;
    dispatch = dispatch_unread;
    init_timer(event, on_timer, cycle.log);
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
