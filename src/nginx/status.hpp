// The directive `websocket_status`: figures of all workers.
#pragma once

#include "nginx/nginx_headers.hpp"

namespace websocket::nginx {

// The forms that the figures come in; none: not such a location.
enum class status_form : ngx_uint_t { none, json, prometheus, html };

// The content handler of a location that tells figures.
ngx_int_t answer_status(ngx_http_request_t *r);

} // namespace websocket::nginx
