// Publishing over HTTP: the directive `websocket_publish`.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

// The content handler of a location that publishes. POST publishes the body,
// GET and HEAD tell of the resource, DELETE closes its clients.
ngx_int_t publish_handler(ngx_http_request_t *r);

// The key of the resource that a request for such a location is about, in
// memory of the request's. NGX_DECLINED: the location publishes nothing, or
// the key asks for itself.
ngx_int_t published_key(ngx_http_request_t *r, ngx_str_t &key) noexcept;

} // namespace websocket::nginx
