// The parameters of a directive `websocket` or `websocket_publish`.
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

// The first value of a name; absent if there is none.
inline websocket_text_t find_parameter(parameter_list among,
                                       std::string_view name) noexcept
{
    for (const named_value &known : among) {
        if (known.name == name) {
            return {known.value.data(), known.value.size()};
        }
    }

    return {nullptr, 0};
}

} // namespace websocket::nginx
