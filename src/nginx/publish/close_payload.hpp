// The Close frame that a DELETE request asks for.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <string>
#include <string_view>

namespace websocket::nginx {

// Sets the payload of a Close (RFC 6455 5.5.1) from the arguments "code" and
// "reason". Returns "" or an error. Throws std::bad_alloc.
std::string_view read_close_payload(ngx_http_request_t *r,
                                    std::string &close_payload);

} // namespace websocket::nginx
