// Looks for news by a timer where not every worker can wake this one: those
// that were forked before its slot had an eventfd have not inherited it.
#pragma once

#include "nginx/workers/shared_zone.hpp"

namespace websocket::nginx::polling {

// For the worker of a slot. `can_be_woken`: it listens on its eventfd.
// `read_news` is called every 20 ms while some worker cannot wake this one.
void start(ngx_cycle_t &cycle, shared_zone &zone, unsigned slot,
           bool can_be_woken, ngx_event_handler_pt read_news) noexcept;

// Finds out again whether it is needed: workers have come or gone.
void update() noexcept;

} // namespace websocket::nginx::polling
