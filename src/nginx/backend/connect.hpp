// The connect event: a handshake that waits for the backend's answer.
#pragma once

#include "nginx/backend/client.hpp"
#include "nginx/core/nginx_headers.hpp"

#include <optional>
#include <string_view>

namespace websocket::nginx::backend {

// Continues a handshake that the backend has accepted. Returns the value with
// which to finalize the request.
using accepted_callback = ngx_int_t (*)(ngx_http_request_t *r);

// Sends the connect event of a handshake, if its location sends one. Returns
// NGX_DECLINED without one, NGX_DONE if the answer is awaited, or a status. A
// handshake that the backend does not accept is refused with its answer.
ngx_int_t ask(ngx_http_request_t *r, std::string_view key,
              accepted_callback callback) noexcept;

// Returns `rc`, with which the handshake ends. If it is refused, its client
// ends here, because sending the response may take time.
ngx_int_t end_refused(ngx_http_request_t *r, ngx_int_t rc) noexcept;

// Whether the backend has accepted the handshake.
bool has_accepted(ngx_http_request_t *r) noexcept;

// The subprotocol that the backend has chosen; nothing: it has chosen none.
std::optional<std::string_view>
chosen_subprotocol(ngx_http_request_t *r) noexcept;

// The user that the backend has named; nothing: the field is missing.
std::optional<std::string_view> chosen_user(ngx_http_request_t *r) noexcept;

// Adds the header fields of the backend's answer to the 101 response. False
// without memory.
bool add_answer_fields(ngx_http_request_t *r) noexcept;

// The client of an accepted handshake, or a new one if there is no connect
// event. Null without memory.
client *take_client(ngx_http_request_t *r, std::string_view key) noexcept;

} // namespace websocket::nginx::backend
