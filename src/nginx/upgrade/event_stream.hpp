// A GET that asks for an event stream instead of a WebSocket.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

// True if the location has websocket_event_stream, and the request is a GET
// whose field Accept names the type and that does not ask for a WebSocket.
bool wants_event_stream(ngx_http_request_t *r) noexcept;

// Sends the header of the response. Returns the result of
// ngx_http_send_header().
ngx_int_t send_event_stream_header(ngx_http_request_t *r) noexcept;

} // namespace websocket::nginx
