// The functions that nginx calls when a worker process starts and ends.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

ngx_int_t start_worker(ngx_cycle_t *cycle);

// Called when the process ends, for whatever reason, before the exit functions
// of the other modules: closes all clients.
void end_worker(ngx_cycle_t *cycle);

// Called in the usual order of modules, after nginx has ended its thread pools.
void exit_worker(ngx_cycle_t *cycle);

} // namespace websocket::nginx
