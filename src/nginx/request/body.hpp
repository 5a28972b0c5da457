// Accesses the body of a request that nginx has read.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <optional>
#include <span>

namespace websocket::nginx {

// True if the body is complete. It is not if another location or module has
// discarded it, or has forwarded it unbuffered.
bool body_is_whole(const ngx_http_request_t *r) noexcept;

// The size in bytes, in memory and in files.
off_t body_size(const ngx_http_request_t *r) noexcept;

// Returns the body in one piece, valid as long as the request: the buffer of
// nginx, or a copy if the body is in several buffers or in a temporary file.
// Returns nothing, and logs the cause, if that fails.
std::optional<std::span<const std::byte>>
whole_body(ngx_http_request_t *r) noexcept;

} // namespace websocket::nginx
