// CORS for pages of other origins that publish or read event streams: answers
// preflights, and adds header fields to responses.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

// Installs a phase handler and a header filter. Called after nginx has read the
// block "http". In locations with
// websocket_publish or websocket_event_stream:
//
// - A preflight (OPTIONS with Access-Control-Request-Method) is answered before
//   the access phase, since browsers send it without credentials: 204 for
//   allowed origins, else 403.
// - Responses to pages of allowed origins, error pages included, get
//   Access-Control-Allow-Origin, unless the configuration adds the field.
ngx_int_t install_cors(ngx_conf_t *cf);

} // namespace websocket::nginx
