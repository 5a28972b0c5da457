// Responses to publishers. All functions return the result of a content
// handler.
#pragma once

#include "broker/types.hpp"
#include "nginx/core/nginx_headers.hpp"

#include <cstdint>
#include <string_view>

namespace websocket::nginx {

// Logs the reason at info.
ngx_int_t reject_publish(ngx_http_request_t *r, ngx_uint_t status,
                         std::string_view reason) noexcept;

// For a message that broker::fits() excludes.
ngx_int_t reject_never_fits(ngx_http_request_t *r) noexcept;

ngx_int_t reject_append(ngx_http_request_t *r, broker::outcome result) noexcept;

// For messages that Redis does not accept.
ngx_int_t reject_unreachable(ngx_http_request_t *r) noexcept;

ngx_int_t send_json(ngx_http_request_t *r, std::string_view json) noexcept;

ngx_int_t send_published(ngx_http_request_t *r, broker::message_id id,
                         std::uint32_t clients) noexcept;
ngx_int_t send_client_count(ngx_http_request_t *r,
                            std::uint32_t clients) noexcept;

// An empty `last`: the resource has no log.
ngx_int_t send_description(ngx_http_request_t *r, std::uint64_t clients,
                           std::uint64_t messages,
                           broker::message_id last) noexcept;

} // namespace websocket::nginx
