// The key of the resource that a location gives to a request.
#pragma once

#include "nginx/core/configuration.hpp"
#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

// Finds the key, in the request's pool. Returns NGX_OK, or the value for the
// content handler to return.
ngx_int_t resource_key(ngx_http_request_t *r,
                       const location_configuration &conf,
                       ngx_str_t &key) noexcept;

} // namespace websocket::nginx
