// The identity of the client of an opening handshake: its user.
//
// It belongs to the request until the session takes it over.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace websocket::nginx {

struct identity {
    std::string user; // empty: nobody
};

// Returns why a text cannot name a user, or null: it must be UTF-8 of at most
// 256 bytes without control characters, as it goes into header fields.
const char *user_error(std::string_view user) noexcept;

// Evaluates websocket_user for a handshake, after nginx's access phase. Returns
// NGX_OK, or the value for the content handler to return.
ngx_int_t identify(ngx_http_request_t *r) noexcept;

// The identity of a handshake. Null before identify(), for nobody, and once it
// was taken.
const identity *identity_of(ngx_http_request_t *r) noexcept;

// Replaces the user of a handshake. False without memory.
bool set_user(ngx_http_request_t *r, std::string_view user) noexcept;

// Null: nobody.
std::unique_ptr<identity> take_identity(ngx_http_request_t *r) noexcept;

} // namespace websocket::nginx
