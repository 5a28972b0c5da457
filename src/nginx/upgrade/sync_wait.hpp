// An opening handshake that waits until this host has all of its resource's
// messages: a client may come from another host, and has seen them there.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/resource/resource.hpp"

namespace websocket::nginx {

// Ends the request; `in_sync`: the client can be admitted now.
using sync_callback = void (*)(ngx_http_request_t *r, resource &target,
                               bool in_sync);

// Takes over from begin_waiting() of the resource. Calls `end` once, unless
// the client leaves before. Returns what the content handler returns.
ngx_int_t wait_for_hosts(ngx_http_request_t *r, resource &target,
                         sync_callback callback) noexcept;

} // namespace websocket::nginx
