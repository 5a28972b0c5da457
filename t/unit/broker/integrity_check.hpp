// Checks the broker's shared memory: all that is reachable from the header is
// compared with the words that are derived from it.
#pragma once

#include "broker/broker.hpp"

#include <string_view>

namespace websocket::broker {

// Takes the lock, and overwrites the marks. Returns the first fault, or an
// empty text.
std::string_view check_integrity(broker &checked) noexcept;

} // namespace websocket::broker
