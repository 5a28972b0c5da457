// Admits the client of a handshake to its resource, or rejects it.
#pragma once

#include "broker/types.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/resource/resource.hpp"

#include <cstdint>

namespace websocket::nginx {

// Rejects the handshake. Returns the value for the content handler to return.
ngx_int_t reject_admission(ngx_http_request_t *r, broker::outcome why) noexcept;

// Counts the client among those of all workers. Returns NGX_OK, or the value
// for the content handler to return.
ngx_int_t reserve_client(ngx_http_request_t *r, resource &target,
                         std::uint64_t &position) noexcept;

// Keeps the resource until the host is in sync. Returns as reserve_client does.
ngx_int_t begin_waiting(ngx_http_request_t *r, resource &target) noexcept;

} // namespace websocket::nginx
