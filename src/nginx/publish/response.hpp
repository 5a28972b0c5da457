// What publishers are told.
#pragma once

#include "broker/types.hpp"
#include "nginx/core/nginx_headers.hpp"

#include <cstdint>
#include <string_view>

namespace websocket::nginx {

// All return what a content handler returns.

// Says why at info.
ngx_int_t reject_publish(ngx_http_request_t *r, ngx_uint_t status,
                         std::string_view why) noexcept;

// The message is larger than broker::fits() allows.
ngx_int_t reject_never_fits(ngx_http_request_t *r) noexcept;

ngx_int_t reject_append(ngx_http_request_t *r, broker::outcome why) noexcept;

// The other hosts are out of reach.
ngx_int_t reject_unreachable(ngx_http_request_t *r) noexcept;

ngx_int_t send_published(ngx_http_request_t *r, broker::message_id id,
                         std::uint32_t clients) noexcept;
ngx_int_t send_client_count(ngx_http_request_t *r,
                            std::uint32_t clients) noexcept;

// The last message's id may be empty: there is no such resource.
ngx_int_t send_description(ngx_http_request_t *r, std::uint64_t clients,
                           std::uint64_t messages,
                           std::string_view last) noexcept;

} // namespace websocket::nginx
