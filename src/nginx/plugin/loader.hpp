// The handlers that locations can name: built-in ones and those of plug-ins.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "sdk/websocket_plugin.h"

#include <string>
#include <string_view>

namespace websocket::nginx {

void *create_main_configuration(ngx_conf_t *cf);

// The setter of the directive `websocket_plugin`.
char *load_plugin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

// The handler with this name in the configuration being read, or null.
const websocket_handler_t *find_handler(ngx_conf_t *cf,
                                        std::string_view name) noexcept;

// The names of all handlers, for an error message.
std::string handler_names(ngx_conf_t *cf);

} // namespace websocket::nginx
