// The variables $websocket_*.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

ngx_int_t add_variables(ngx_conf_t *cf);

} // namespace websocket::nginx
