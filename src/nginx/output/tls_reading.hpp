// Receives the contents of TLS records. A record may contain one byte, or be
// padded to 16 KiB. So both their number and their size on the wire are
// limited.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/core/turn.hpp"

#include <cstddef>
#include <span>

namespace websocket::nginx {

#if (NGX_SSL)

// Must be called once per connection, before receive_records().
void limit_reads(SSL *tls) noexcept;

// As transport::receive().
ssize_t receive_records(ngx_connection_t *c, std::span<std::byte> buffer,
                        turn &current) noexcept;

#endif

} // namespace websocket::nginx
