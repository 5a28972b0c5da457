// What a location's access log asks of a request: the variables of its formats,
// of its conditions and of the names of its files.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <cstddef>
#include <vector>

namespace websocket::nginx {

// The indices of those in formats and conditions, in any order and perhaps
// twice. Throws std::bad_alloc.
std::vector<std::size_t> variables_of_log(const ngx_http_request_t *r);

// Evaluates those in the names of files, as nginx does before it opens one.
void evaluate_log_paths(ngx_http_request_t *r) noexcept;

// Whether other modules look at a request when it is logged: nobody knows
// which variables they ask for.
bool has_other_loggers(const ngx_http_request_t *r) noexcept;

} // namespace websocket::nginx
