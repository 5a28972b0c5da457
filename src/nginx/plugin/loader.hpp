// The handlers that locations may name: built in, or from plug-in libraries.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "sdk/websocket_plugin.h"

#include <string>
#include <string_view>

namespace websocket::nginx {

void *create_main_configuration(ngx_conf_t *cf);

// The setter of the directive `websocket_plugin`.
char *load_plugin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

// The handler that is known by `name` in the configuration being read, or
// null.
const websocket_handler_t *find_handler(ngx_conf_t *cf,
                                        std::string_view name) noexcept;

// The names of all handlers, for a message.
std::string handler_names(ngx_conf_t *cf);

} // namespace websocket::nginx
