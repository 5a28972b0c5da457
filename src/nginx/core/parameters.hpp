// The parameters of the directives `websocket` and `websocket_publish`.
#pragma once

#include "sdk/websocket_plugin.h"

#include <span>
#include <string_view>

namespace websocket::nginx {

// One name=value, in the configuration's memory.
struct named_value {
    std::string_view name;
    std::string_view value;
};
using parameter_list = std::span<const named_value>;

// The first value of the name; absent without one.
inline websocket_text_t find_parameter(parameter_list list,
                                       std::string_view name) noexcept
{
    for (const named_value &each : list) {
        if (each.name == name) {
            return {each.value.data(), each.value.size()};
        }
    }

    return {nullptr, 0};
}

} // namespace websocket::nginx
