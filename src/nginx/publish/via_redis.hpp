// What a publisher asks for where resources live on many hosts: the request
// waits for Redis's answer.
#pragma once

#include "broker/types.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/resource/resource.hpp"

#include <string_view>

namespace websocket::nginx {

// All return what a content handler returns.

ngx_int_t publish_on_hosts(ngx_http_request_t *r, const resource &to,
                           const broker::publication &message) noexcept;

// `order`: a Close frame's payload.
ngx_int_t close_on_hosts(ngx_http_request_t *r, std::string_view name,
                         std::string_view order) noexcept;

ngx_int_t describe_on_hosts(ngx_http_request_t *r, const resource &of) noexcept;

} // namespace websocket::nginx
