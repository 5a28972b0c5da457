// Which variables have a value now that has to be kept, when the request they
// are made of is about to go.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace websocket::nginx {

// When the value of a variable is asked for.
enum class evaluation_time : std::uint8_t {
    release,   // what it is made of goes with the request
    if_logged, // the same, if the log uses it; else at the end, if at all
    end,       // it changes until then, or is made of what is left
    never,     // at no time: it has a value where something has set it
};

// Called when a configuration is complete: finds the moment of each variable
// that something in it refers to.
ngx_int_t classify_variables(ngx_cycle_t *cycle);

// By the variables' indices.
std::span<const evaluation_time>
evaluation_times(ngx_http_request_t *r) noexcept;

struct saved_variable {
    std::size_t index;
    std::string_view value; // in the request's memory
    enum class kind : std::uint8_t {
        value,
        absent, // it has none, and need not be asked for again
        at_end, // it turned out to depend on one that changes
    } is;
};

// Evaluates the variables that the access log of the request's location uses,
// as it would at the end, but for those that are left to it. Returns all that
// have a value, and those that are not what restoring takes an unsaved one for,
// in the order of their indices. Those the request had before keep it. The
// request does not change but for what the evaluation of a variable does.
// Throws std::bad_alloc, with nothing done.
std::vector<saved_variable> evaluate_variables(ngx_http_request_t *r);

} // namespace websocket::nginx
