// How long a shutdown takes.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

// Over how long a worker that shuts down closes its clients, in milliseconds.
ngx_msec_t drain_time() noexcept;

} // namespace websocket::nginx
