// The content handlers of the directives `websocket`, `websocket_publish` and
// `websocket_status`.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

// A location with such a directive, and the position of the directive.
struct content_location {
    const ngx_http_core_loc_conf_t *core;
    ngx_http_handler_pt handler;
    ngx_str_t directive;
    ngx_str_t file;
    ngx_uint_t line;
};

// Sets the content handler of the location whose directive is being read.
// False without memory.
bool set_content_handler(ngx_conf_t *cf, ngx_http_handler_pt handler) noexcept;

// Once all locations are read: warns of those that have another handler now.
void warn_of_replaced_handlers(ngx_conf_t *cf) noexcept;

} // namespace websocket::nginx
