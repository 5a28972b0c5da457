// Freeing the HTTP request of a connection that lives on without it.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

// The two cleanups by which a session learns of its request's end.
struct session_cleanups {
    ngx_http_cleanup_pt of_request;
    ngx_pool_cleanup_pt of_pool;
};

// What still needs the request, in words for the log; null: nothing does.
const char *retention_reason(ngx_http_request_t *r,
                             const session_cleanups &session) noexcept;

// Frees the request as nginx does between the requests of a connection, with
// the buffers it was read into, and without its line of the access log and the
// session's cleanups. The connection stays the client's: also its address, if
// that is by realip. False, and nothing has changed, if there is no memory.
bool free_request(ngx_http_request_t *r,
                  const session_cleanups &session) noexcept;

// Has a request logged, and frees it, that was made again for that.
void log_and_free(ngx_http_request_t *r) noexcept;

} // namespace websocket::nginx
