// The body of a request that nginx has read.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <optional>
#include <span>

namespace websocket::nginx {

// Whether all of it is there. It is not where another location or module has
// passed it over, or sent it on while it came.
bool body_is_whole(const ngx_http_request_t *r) noexcept;

// Bytes, wherever they lie.
off_t body_size(const ngx_http_request_t *r) noexcept;

// The body in one piece, valid as long as the request: the memory that nginx
// has read it into, or a copy if it lies in several places or in nginx's
// temporary file. Nothing, and said so, if that cannot be had.
std::optional<std::span<const std::byte>>
whole_body(ngx_http_request_t *r) noexcept;

} // namespace websocket::nginx
