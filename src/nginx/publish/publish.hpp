// The directive websocket_publish: publishing over HTTP.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

// The content handler of a location with websocket_publish. POST publishes the
// body, GET and HEAD describe the resource, DELETE closes its clients.
ngx_int_t publish_handler(ngx_http_request_t *r);

// Evaluates the key of such a location, in the request's pool. Returns
// NGX_DECLINED in other locations, and if the key contains itself.
ngx_int_t published_key(ngx_http_request_t *r, ngx_str_t &key) noexcept;

} // namespace websocket::nginx
