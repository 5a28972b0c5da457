// Looks for what is wrong in a zone.
#pragma once

#include "broker/zone.hpp"

#include <string_view>

namespace websocket::broker::detail {

// Goes through everything that is reachable and compares it with what is
// derived from it; uses the marks. Returns what is wrong in words, empty if
// nothing is.
std::string_view audit(zone &z) noexcept;

} // namespace websocket::broker::detail
