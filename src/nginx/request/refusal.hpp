// How requests that are no opening handshake, or are not let in, are answered.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "protocol/handshake.hpp"

#include <string_view>

namespace websocket::nginx {

inline constexpr ngx_uint_t upgrade_required = 426;

// Adds a field to the answer: both texts live as long as the request. False
// when there is no memory.
bool add_header(ngx_http_request_t *r, std::string_view name,
                std::string_view value) noexcept;

// Says at info why the handshake is refused. Returns what the content handler
// returns.
ngx_int_t reject_handshake(ngx_http_request_t *r, ngx_uint_t status,
                           std::string_view why) noexcept;

// The same for a broken rule, with the fields that belong to its status.
ngx_int_t reject_handshake(ngx_http_request_t *r,
                           protocol::handshake_error reason) noexcept;

// The same of a request that is no handshake: `kind` says what it is.
ngx_int_t reject_request(ngx_http_request_t *r, std::string_view kind,
                         ngx_uint_t status, std::string_view why) noexcept;

} // namespace websocket::nginx
