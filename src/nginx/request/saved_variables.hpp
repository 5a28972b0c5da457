// Evaluates the variables whose values must be saved when the request is
// released.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace websocket::nginx {

// When a variable is evaluated.
enum class evaluation_time : std::uint8_t {
    release,   // at release, as its sources are freed
    if_logged, // at release if the log uses it, otherwise at the end
    end,       // at the end: it changes, or its sources remain
    never,     // never: `set` or the like assigns it
};

// Called when a configuration is complete. Finds the evaluation time of each
// variable that the configuration uses.
ngx_int_t classify_variables(ngx_cycle_t *cycle);

// Indexed by variable.
std::span<const evaluation_time>
evaluation_times(ngx_http_request_t *r) noexcept;

struct saved_variable {
    std::size_t index;
    std::string_view value; // in the request's pool
    enum class kind : std::uint8_t {
        value,
        absent, // it has no value and is not evaluated again
        at_end, // it depends on a variable that changes
    } is;
};

// Evaluates the variables that the access log of the location uses, except
// those evaluated at the end. Returns all that have a value, and those whose
// state restoring would not assume for an unsaved one, ordered by index. Values
// that the request already has are kept. The request changes only as far as
// evaluating a variable changes it. Throws std::bad_alloc and changes nothing
// then.
std::vector<saved_variable> evaluate_variables(ngx_http_request_t *r);

} // namespace websocket::nginx
