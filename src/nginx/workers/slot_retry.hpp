// Starts the worker bus later, when a slot may be free.
#pragma once

#include "nginx/workers/worker_bus.hpp"

namespace websocket::nginx::worker_bus {

// Calls start() again each second until it gets a slot or the worker exits.
void retry_start(ngx_cycle_t *cycle, shared_zone &zone,
                 const settings &options) noexcept;

} // namespace websocket::nginx::worker_bus
