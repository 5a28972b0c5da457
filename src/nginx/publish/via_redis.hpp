// Requests of publishers if Redis connects several hosts: each waits for the
// reply of Redis. All functions return the result of a content handler.
#pragma once

#include "broker/types.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/resource/resource.hpp"

#include <string_view>

namespace websocket::nginx {

ngx_int_t publish_via_redis(ngx_http_request_t *r, const resource &target,
                            const broker::publication &message) noexcept;

// `close_payload`: a Close frame's payload.
ngx_int_t close_via_redis(ngx_http_request_t *r, std::string_view name,
                          std::string_view close_payload) noexcept;

ngx_int_t describe_via_redis(ngx_http_request_t *r,
                             const resource &target) noexcept;

} // namespace websocket::nginx
