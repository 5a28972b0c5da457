// What server and client agree on in the opening handshake, and how the answer
// says it.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/resource/resource.hpp"
#include "nginx/session/session.hpp"
#include "protocol/handshake.hpp"

#include <optional>
#include <string_view>

namespace websocket::nginx {

// Hands each field to who has add_header(name, value).
template <class Reader>
void read_headers(ngx_http_request_t *r, Reader &reader) noexcept
{
    each_header(r, [&reader](const ngx_table_elt_t &header) {
        reader.add_header(view(header.key), view(header.value));
    });
}

// The first name of websocket_subprotocols that the client offers; empty if
// there is none.
std::string_view preferred_subprotocol(ngx_http_request_t *r) noexcept;

// The handler's choice, if it makes one; only what was offered counts. Nothing
// if it fails.
std::optional<std::string_view>
choose_subprotocol(ngx_http_request_t *r, const resource &target,
                   const protocol::opening_handshake &handshake) noexcept;

protocol::deflate_agreement negotiate_deflate(ngx_http_request_t *r) noexcept;

// The fields of a 101. False: no memory, or no digest.
bool add_upgrade_headers(ngx_http_request_t *r, std::string_view key,
                         const negotiated_options &options) noexcept;

} // namespace websocket::nginx
