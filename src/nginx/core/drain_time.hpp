// The time in which a worker that shuts down closes its clients.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

// In milliseconds.
ngx_msec_t drain_time() noexcept;

} // namespace websocket::nginx
