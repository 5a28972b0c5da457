// Pages that publish from other origins: their preflights are answered, and
// answers get the fields by which a browser gives them to the page.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

// Called when the block `http` has been read. Of locations with
// websocket_publish:
//
// - A preflight (OPTIONS with Access-Control-Request-Method) is answered before
//   access is checked, as browsers send none of the visitor's credentials with
//   it: 204 for allowed origins, else 403.
// - All answers to pages of allowed origins, nginx's own errors too, get
//   Access-Control-Allow-Origin, unless the configuration adds one by itself.
ngx_int_t install_cors(ngx_conf_t *cf);

} // namespace websocket::nginx
