// The version of the module and of its Debian packages.
#pragma once

#include <string_view>

namespace websocket::nginx {

inline constexpr std::string_view module_version = "0.1";

} // namespace websocket::nginx
