// Work that handlers have done in nginx's thread pool, and what becomes of it
// when the process ends: nobody waits for it in vain.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

class resource;

namespace background {

// Called when the process begins, with the configuration whose thread pools
// get threads.
void start(ngx_cycle_t *cycle) noexcept;

// Called when the process ends, before nginx ends its thread pools, which
// waits for all their jobs. From here on no job is taken and none is begun.
// Where one is at work, nginx does not wait: the job ends with the process.
void end(ngx_cycle_t *cycle) noexcept;

// Whether a thread works for the resource: it must not be destroyed then.
bool has_running_job(const resource &owner) noexcept;

// Called when nginx has ended its thread pools.
void restore_pools(ngx_cycle_t *cycle) noexcept;

} // namespace background

} // namespace websocket::nginx
