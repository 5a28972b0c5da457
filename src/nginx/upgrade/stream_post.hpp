// A POST to a location with websocket_event_stream publishes its body, since an
// event stream cannot.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

// Publishes under the rules that a WebSocket has in this location, and answers
// as websocket_publish does. With `websocket rooms` the argument "room" names
// the room. Returns the result of a content handler.
ngx_int_t stream_post_handler(ngx_http_request_t *r);

} // namespace websocket::nginx
