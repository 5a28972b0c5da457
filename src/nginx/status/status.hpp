// The directive `websocket_status`: figures of all workers.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <optional>
#include <string_view>

namespace websocket::nginx {

// The forms that the figures come in; none: not such a location.
enum class status_form : ngx_uint_t { none, json, prometheus, html };

// The form of a name; nothing: there is none of it.
std::optional<status_form> status_form_named(std::string_view name) noexcept;

// The content handler of a location that tells figures.
ngx_int_t status_handler(ngx_http_request_t *r);

} // namespace websocket::nginx
