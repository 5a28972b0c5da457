// Dispatches unread messages by a timer while some worker cannot wake this one:
// workers that were forked before its slot had an eventfd have not inherited
// it.
#pragma once

#include "nginx/workers/shared_zone.hpp"

namespace websocket::nginx::polling {

// `can_be_woken`: the worker listens on the eventfd of its slot.
// `dispatch_unread` is called every 20 ms while polling is needed.
void start(ngx_cycle_t &cycle, shared_zone &zone, unsigned slot,
           bool can_be_woken, ngx_event_handler_pt dispatch_unread) noexcept;

// Decides again whether polling is needed, as workers start and end.
void update() noexcept;

} // namespace websocket::nginx::polling
