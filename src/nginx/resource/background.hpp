// Background jobs of handlers in nginx's thread pool, and their end at the exit
// of the process.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

class resource;

namespace background {

// Called when the process starts, with the cycle whose thread pools get
// threads.
void start(ngx_cycle_t *cycle) noexcept;

// Called when the process exits, before nginx destroys its thread pools, which
// waits for their jobs. From here on no job is accepted or started. If one is
// running, nginx does not wait: the job ends with the process.
void end(ngx_cycle_t *cycle) noexcept;

// True if a thread runs a job of the resource, which must not be destroyed
// then.
bool has_running_job(const resource &owner) noexcept;

// Called after nginx has destroyed its thread pools.
void restore_pools(ngx_cycle_t *cycle) noexcept;

} // namespace background

} // namespace websocket::nginx
