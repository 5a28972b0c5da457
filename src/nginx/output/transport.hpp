// How bytes travel between a session and its client: the one place that knows
// of sockets and TLS. After a failed send each further send or half-close fails
// at once. TLS failures are logged at info.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/core/turn.hpp"

#include <span>

namespace websocket::nginx::transport {

// Makes the connection fit for frames: no Nagle delay, TLS records that may
// be retried from another place. NGX_ERROR if the socket refuses.
ngx_int_t configure(ngx_http_request_t *r) noexcept;

// What TLS holds back of the HTTP responses, which has to go out first. To be
// copied, and then dropped with the memory it lies in.
std::span<const std::byte> tls_buffered(const ngx_connection_t *c) noexcept;
void drop_tls_buffered(ngx_connection_t *c) noexcept;

// Bytes received; 0 when the peer has ended its side, NGX_AGAIN when there are
// none now, NGX_ERROR when the connection is broken. The turn counts records.
ssize_t receive(ngx_connection_t *c, std::span<std::byte> buffer,
                turn &current) noexcept;

// Sends as much as the connection takes now. Returns how much that was, or
// NGX_ERROR when the connection is broken.
ssize_t send(ngx_connection_t *c, std::span<const std::byte> bytes) noexcept;

// The same for several pieces, which leave together: in one system call, or
// in full TLS records. At most max_pieces of them.
inline constexpr std::size_t max_pieces = 64;
ssize_t send(ngx_connection_t *c,
             std::span<const std::span<const std::byte>> pieces) noexcept;

// True if pieces need no copying into one block to leave together.
bool supports_writev(const ngx_connection_t *c) noexcept;

// Of the bytes that send() has not taken, so many may be in a TLS record that
// is begun: they have to be sent next.
std::size_t max_partial_record(const ngx_connection_t *c) noexcept;

// Ends our side of the connection; what the peer sends can still be received.
// NGX_AGAIN: TLS has to wait, `again` will be called once it is done.
ngx_int_t half_close(ngx_connection_t *c,
                     ngx_connection_handler_pt on_done) noexcept;

} // namespace websocket::nginx::transport
