// Receives what TLS records carry. Records cost what they are on the wire, and
// they may carry one byte, or be padded to 16 KiB: both are limited.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/core/turn.hpp"

#include <cstddef>
#include <span>

namespace websocket::nginx {

#if (NGX_SSL)

// To be called once for a connection, before receive_records().
void limit_reads(SSL *tls) noexcept;

// As transport::receive().
ssize_t receive_records(ngx_connection_t *c, std::span<std::byte> buffer,
                        turn &current) noexcept;

#endif

} // namespace websocket::nginx
