// Delays an opening handshake until this host has all messages of its resource,
// because the client may have received them on another host.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/resource/resource.hpp"

namespace websocket::nginx {

// Ends the request. `in_sync`: the client can be accepted now.
using sync_callback = void (*)(ngx_http_request_t *r, resource &target,
                               bool in_sync);

// Takes over the reference of resource::begin_waiting(). Calls `callback` once,
// unless the client disconnects before. Returns NGX_DONE, for the content
// handler to return, or NGX_ERROR if there is no memory.
ngx_int_t wait_for_hosts(ngx_http_request_t *r, resource &target,
                         sync_callback callback) noexcept;

} // namespace websocket::nginx
