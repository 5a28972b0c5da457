// The token that a browser sends as an offered subprotocol, "bearer.TOKEN", as
// its pages can set no header field.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <cstddef>
#include <string>

namespace websocket::nginx {

// Removes all such names from the request's fields Sec-WebSocket-Protocol. The
// bytes are overwritten, so that no log has them. Sets `token` to the first one
// without its prefix, and returns their number. Throws std::bad_alloc; some
// names may remain then.
std::size_t take_bearer_offer(ngx_http_request_t *r, std::string &token);

// If a location takes tokens from subprotocols, hides them from the access log
// also for requests that reach no such location. Returns NGX_OK or NGX_ERROR.
ngx_int_t install_bearer_hiding(ngx_conf_t *cf) noexcept;

} // namespace websocket::nginx
