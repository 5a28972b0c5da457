// Sends and receives bytes of a session. Only this file and those it uses know
// sockets and TLS. After a failed send, each further send or half-close fails
// at once. TLS failures are logged at info.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/core/turn.hpp"

#include <span>

namespace websocket::nginx::transport {

// Prepares the connection for frames: disables Nagle's algorithm, and lets TLS
// retry a write from another address. NGX_ERROR if the socket rejects it.
ngx_int_t configure(ngx_http_request_t *r) noexcept;

// The part of the HTTP response that is still in nginx's TLS buffer and must be
// sent first. Copy it, then drop it, which frees the buffer.
std::span<const std::byte> tls_buffered(const ngx_connection_t *c) noexcept;
void drop_tls_buffered(ngx_connection_t *c) noexcept;

// Returns the bytes received, 0 if the peer has ended its side, NGX_AGAIN if
// there are none now, or NGX_ERROR if the connection failed. `current` is
// charged for TLS records.
ssize_t receive(ngx_connection_t *c, std::span<std::byte> buffer,
                turn &current) noexcept;

// Sends as much as the connection accepts now. Returns the number of bytes, or
// NGX_ERROR if the connection failed.
ssize_t send(ngx_connection_t *c, std::span<const std::byte> bytes) noexcept;

// The same for several pieces, at most max_pieces, sent in one system call or
// in full TLS records.
inline constexpr std::size_t max_pieces = 64;
ssize_t send(ngx_connection_t *c,
             std::span<const std::span<const std::byte>> pieces) noexcept;

// True if several pieces are sent with one system call without copying them.
bool supports_writev(const ngx_connection_t *c) noexcept;

// The number of bytes, not accepted by send(), that may be part of an
// incomplete TLS record. They must be sent next.
std::size_t max_partial_record(const ngx_connection_t *c) noexcept;

// Ends our side of the connection. Input can still be received. NGX_AGAIN: TLS
// must wait, and `on_done` is called when it is done.
ngx_int_t half_close(ngx_connection_t *c,
                     ngx_connection_handler_pt on_done) noexcept;

} // namespace websocket::nginx::transport
