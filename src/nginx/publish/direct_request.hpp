// Publish requests for one client or one user, and lists of users.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/direct/direct_target.hpp"
#include "nginx/resource/resource.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace websocket::nginx {

// The target of the request, in its pool, by the parameters `client` and `user`
// of the location; nothing if both are empty. `error`: both are set, or a value
// is wrong; else it is empty.
std::optional<direct_target> find_target(ngx_http_request_t *r,
                                         const resource_id &id,
                                         std::string_view &error) noexcept;

// These return the result of a content handler. They throw std::bad_alloc.

ngx_int_t send_to_target(ngx_http_request_t *r, const direct_target &target,
                         std::uint8_t kind, std::span<const std::byte> payload);
ngx_int_t describe_target(ngx_http_request_t *r, const direct_target &target);

// True if the request has the argument presence=1.
bool wants_presence(ngx_http_request_t *r) noexcept;

// The users of a resource or, with an empty key, of the handler.
ngx_int_t describe_users(ngx_http_request_t *r, const resource_id &id);

// The first argument of the request with this name, not decoded.
std::string_view argument(ngx_http_request_t *r, std::string_view name,
                          std::string_view fallback) noexcept;

} // namespace websocket::nginx
