// The identity of the client of an opening handshake: its user and its token.
//
// It belongs to the request until the session takes it over.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "tokens/token.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace websocket::nginx {

struct identity {
    std::string user;                           // empty: nobody
    std::shared_ptr<const tokens::token> token; // null: none
};

// Returns why a text cannot name a user, or null: it must be UTF-8 of at most
// 256 bytes without control characters, as it goes into header fields.
const char *user_error(std::string_view user) noexcept;

// Takes the token out of the offered subprotocols, if it comes there. The first
// step of a handshake. False without memory.
bool take_offered_token(ngx_http_request_t *r) noexcept;

// Verifies the token of a handshake and evaluates its user, after nginx's
// access phase. Returns NGX_OK, or the value for the content handler to return.
ngx_int_t identify(ngx_http_request_t *r) noexcept;

// The identity of a handshake. Before identify() it has only what a token says.
// Null: nobody, or the session has taken it.
const identity *identity_of(ngx_http_request_t *r) noexcept;

// Replaces the user of a handshake. False without memory.
bool set_user(ngx_http_request_t *r, std::string_view user) noexcept;

// Null: nobody.
std::unique_ptr<identity> take_identity(ngx_http_request_t *r) noexcept;

} // namespace websocket::nginx
