// The step from an HTTP request to a WebSocket: the opening handshake.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

// The content handler of a WebSocket location. Refuses what is no opening
// handshake, or answers 101 and lets a session take the connection over.
ngx_int_t upgrade_handler(ngx_http_request_t *r);

} // namespace websocket::nginx
