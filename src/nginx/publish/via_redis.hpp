// What a publisher asks for where resources live on many hosts: the request
// waits for Redis's answer.
#pragma once

#include "broker/types.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/resource/resource.hpp"

#include <string_view>

namespace websocket::nginx {

// All return what a content handler returns.

ngx_int_t publish_via_redis(ngx_http_request_t *r, const resource &target,
                            const broker::publication &message) noexcept;

// `close_payload`: a Close frame's payload.
ngx_int_t close_via_redis(ngx_http_request_t *r, std::string_view name,
                          std::string_view close_payload) noexcept;

ngx_int_t describe_via_redis(ngx_http_request_t *r,
                             const resource &target) noexcept;

} // namespace websocket::nginx
