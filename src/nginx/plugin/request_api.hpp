// The request functions of the plug-in interface. For a released request they
// return what the session has saved.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "sdk/websocket_plugin.h"

#include <string_view>

namespace websocket::nginx {

class session;

// Valid as long as the session.
const websocket_request_t *request_handle(const session &owner) noexcept;

websocket_text_t request_uri(const websocket_request_t *request) noexcept;
websocket_text_t request_args(const websocket_request_t *request) noexcept;
websocket_text_t request_header(const websocket_request_t *request,
                                websocket_text_t name) noexcept;
websocket_text_t
request_remote_address(const websocket_request_t *request) noexcept;
websocket_text_t
request_subprotocol(const websocket_request_t *request) noexcept;
websocket_text_t
request_preferred_subprotocol(const websocket_request_t *request) noexcept;
websocket_text_t request_parameter(const websocket_request_t *request,
                                   websocket_text_t name) noexcept;
websocket_text_t request_user(const websocket_request_t *request) noexcept;
websocket_text_t request_variable(const websocket_request_t *request,
                                  websocket_text_t name) noexcept;

inline std::string_view text_of(websocket_text_t text) noexcept
{
    return {text.data, text.size};
}

// Views of the same bytes.
inline websocket_text_t as_c(std::string_view text) noexcept
{
    return {text.data(), text.size()};
}

inline websocket_text_t as_c(const ngx_str_t &text) noexcept
{
    return as_c(view(text));
}

} // namespace websocket::nginx
