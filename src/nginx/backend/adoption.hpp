// Sends the disconnect events of clients whose worker has ended before it
// could.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {
struct shared_zone;
}

namespace websocket::nginx::backend {

// Looks for such clients each second, if a location has `websocket http`, or
// one of an earlier configuration had.
void start_adoption(ngx_cycle_t *cycle, shared_zone &zone) noexcept;

// At the end of the process: sends what is left, also of dead workers, until a
// time after which nginx would kill it. The rest stays for other workers.
void finish_events(ngx_cycle_t *cycle) noexcept;

// After that: writes to Redis which clients have gone.
void flush_kept_clients() noexcept;

// Once this worker does not count any more: if it was the last one, other hosts
// may send what is left.
void end_adoption() noexcept;

} // namespace websocket::nginx::backend
