// Which web pages may come to a location: the directive websocket_origins.
#pragma once

#include "nginx/configuration.hpp"
#include "nginx/nginx_headers.hpp"

#include <string_view>

namespace websocket::nginx {

// Whether pages of this origin, as the field Origin names it, may.
bool origin_allowed(ngx_http_request_t *r, const location_configuration &conf,
                    std::string_view origin) noexcept;

// The same for a request that is no opening handshake. One without the field
// does not come from a page of another site; with several it is refused.
bool origin_allowed(ngx_http_request_t *r,
                    const location_configuration &conf) noexcept;

} // namespace websocket::nginx
