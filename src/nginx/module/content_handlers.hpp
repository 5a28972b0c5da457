// The content handlers of the directives `websocket`, `websocket_publish` and
// `websocket_status`.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

// A location with one, and where the configuration says so.
struct content_location {
    const ngx_http_core_loc_conf_t *core;
    ngx_http_handler_pt handler;
    ngx_str_t directive;
    ngx_str_t file;
    ngx_uint_t line;
};

// Makes it the content handler of the location whose directive is being read.
// False when there is no memory.
bool set_content_handler(ngx_conf_t *cf, ngx_http_handler_pt handler) noexcept;

// When all locations are known: of those that have another one by then.
void warn_of_replaced_handlers(ngx_conf_t *cf) noexcept;

} // namespace websocket::nginx
