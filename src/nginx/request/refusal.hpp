// Rejects requests that are not an opening handshake or are not allowed.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "protocol/handshake/handshake.hpp"

#include <string_view>

namespace websocket::nginx {

inline constexpr ngx_uint_t upgrade_required = 426;

// Adds a header field to the response. Both texts must live as long as the
// request. False without memory.
bool add_header(ngx_http_request_t *r, std::string_view name,
                std::string_view value) noexcept;

// Logs at info why the handshake is rejected. Returns the value for the content
// handler to return.
ngx_int_t reject_handshake(ngx_http_request_t *r, ngx_uint_t status,
                           std::string_view why) noexcept;

// The same for an invalid handshake, with the header fields that its status
// requires.
ngx_int_t reject_handshake(ngx_http_request_t *r,
                           protocol::handshake_error reason) noexcept;

// The same for a request of another `kind`, which the log line names.
ngx_int_t reject_request(ngx_http_request_t *r, std::string_view kind,
                         ngx_uint_t status, std::string_view why) noexcept;

} // namespace websocket::nginx
