// The process: its beginning and its end.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

// Called when the process begins.
ngx_int_t start_worker(ngx_cycle_t *cycle);

// Called when the process ends, however that comes, before all other modules
// are: tells all clients.
void end_worker(ngx_cycle_t *cycle);

// Called in its turn among the modules, when nginx has ended its thread pools.
void exit_worker(ngx_cycle_t *cycle);

} // namespace websocket::nginx
