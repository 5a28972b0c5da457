// A connection for a request that no client has sent: nginx has it in its
// table, but it has no socket of its own, and nothing is read from it or
// written to it.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx::backend {

// Takes a connection of worker_connections, with a pool and a log. The request
// must end it as nginx ends a request's connection. `log_handler` and
// `log_data` are for lines of the error log. Null: no connection is free
// or idle, or no memory.
ngx_connection_t *open_event_connection(ngx_log_handler_pt log_handler,
                                        ngx_http_log_ctx_t &log_context,
                                        ngx_event_handler_pt on_read,
                                        ngx_event_handler_pt on_write) noexcept;

// Ends a connection that has no request.
void close_event_connection(ngx_connection_t *c) noexcept;

// Whether open_event_connection() opened it.
bool is_event_connection(const ngx_connection_t *c) noexcept;

} // namespace websocket::nginx::backend
