// The patterns of `websocket_rooms`: which further resources the clients of a
// location may be subscribed to, and their parameters.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/core/parameters.hpp"

#include <span>
#include <string_view>

namespace websocket::nginx {

struct resource_settings;

// A text, or a variable of nginx by its index.
struct pattern_piece {
    std::string_view text;
    ngx_int_t variable; // NGX_ERROR: none
};

// In the configuration's memory.
struct room_pattern {
    std::string_view text; // as configured, without "*" at its end
    std::span<const pattern_piece> pieces;
    bool prefix;        // ended in "*": fits all names that begin so
    bool has_variables; // then `text` is not the name
    parameter_list parameters;
    resource_settings *terms; // set once all locations are read
};

inline std::span<const room_pattern>
patterns_of(const ngx_array_t *patterns) noexcept
{
    return patterns == nullptr
               ? std::span<const room_pattern>{}
               : std::span{static_cast<const room_pattern *>(patterns->elts),
                           patterns->nelts};
}

} // namespace websocket::nginx
