// Checks the broker's shared memory. All records that are reachable from the
// header are compared with the values derived from them.
#pragma once

#include "broker/broker.hpp"

#include <string_view>

namespace websocket::broker {

// Takes the lock and overwrites the marks. Returns the first fault, or an empty
// text.
std::string_view check_integrity(broker &checked) noexcept;

} // namespace websocket::broker
