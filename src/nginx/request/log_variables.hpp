// The variables that the access log of a location uses: those of its formats,
// conditions and file names.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <cstddef>
#include <vector>

namespace websocket::nginx {

// The indices of the variables in formats and conditions, in any order and
// possibly repeated. Throws std::bad_alloc.
std::vector<std::size_t> variables_of_log(const ngx_http_request_t *r);

// Evaluates the file names, as nginx does before it opens a file.
void evaluate_log_paths(ngx_http_request_t *r) noexcept;

// True if other modules have handlers in the log phase. The variables that they
// use are unknown.
bool has_other_loggers(const ngx_http_request_t *r) noexcept;

} // namespace websocket::nginx
