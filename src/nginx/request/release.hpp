// Frees the HTTP request of a connection that continues without it.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

// The two cleanup handlers by which a session is notified of its request's end.
struct session_cleanups {
    ngx_http_cleanup_pt of_request;
    ngx_pool_cleanup_pt of_pool;
};

// Returns why the request must be kept, for the log, or null if it can be
// released.
const char *retention_reason(ngx_http_request_t *r,
                             const session_cleanups &session) noexcept;

// Frees the request, with its header buffers, as nginx does between the
// requests of a connection. The access log line is not written and the
// session's cleanups are not called. The connection keeps the client's address,
// also one set by realip. Returns false without memory, and changes nothing
// then.
bool free_request(ngx_http_request_t *r,
                  const session_cleanups &session) noexcept;

// Writes the access log line of a recreated request and frees it.
void log_and_free(ngx_http_request_t *r) noexcept;

} // namespace websocket::nginx
