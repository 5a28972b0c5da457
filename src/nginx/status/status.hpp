// The content handler of the directive `websocket_status`.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <optional>
#include <string_view>

namespace websocket::nginx {

// The formats of responses; none: the location does not have the directive.
enum class status_form : ngx_uint_t { none, json, prometheus, html };

// The format of that name, if there is one.
std::optional<status_form> status_form_named(std::string_view name) noexcept;

ngx_int_t status_handler(ngx_http_request_t *r);

} // namespace websocket::nginx
