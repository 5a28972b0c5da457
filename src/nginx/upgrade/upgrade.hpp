// Upgrades an HTTP request to a WebSocket: the opening handshake.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

// The content handler of a WebSocket location. Rejects requests that are not an
// opening handshake; otherwise sends 101, and a session takes over the
// connection.
ngx_int_t upgrade_handler(ngx_http_request_t *r);

} // namespace websocket::nginx
