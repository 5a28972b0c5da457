// Negotiates the subprotocol and extension in the opening handshake, and adds
// the header fields of the response.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/resource/resource.hpp"
#include "nginx/session/session.hpp"
#include "protocol/handshake/handshake.hpp"

#include <optional>
#include <string_view>

namespace websocket::nginx {

// Calls reader.add_header(name, value) for each header field.
template <class Reader>
void read_headers(ngx_http_request_t *r, Reader &reader) noexcept
{
    each_header(r, [&reader](const ngx_table_elt_t &header) {
        reader.add_header(view(header.key), view(header.value));
    });
}

// Returns the first name of websocket_subprotocols that the client offers, or
// an empty text.
std::string_view preferred_subprotocol(ngx_http_request_t *r) noexcept;

// Returns the subprotocol that the handler selects, or the preferred one if the
// handler has no callback. A name that was not offered is ignored. Returns
// nothing if the callback fails.
std::optional<std::string_view>
choose_subprotocol(ngx_http_request_t *r, const resource &target,
                   const protocol::opening_handshake &handshake) noexcept;

protocol::deflate_params negotiate_deflate(ngx_http_request_t *r) noexcept;

// Adds the header fields of a 101 response. False without memory, or if SHA-1
// is not available.
bool add_upgrade_headers(ngx_http_request_t *r, std::string_view key,
                         const negotiated_options &options) noexcept;

} // namespace websocket::nginx
