// Repairs the memory after a process died in the middle of a change.
#pragma once

#include "broker/zone.hpp"

namespace websocket::broker::detail {

// Rebuilds all derived words from the primary ones, and frees every block that
// nothing refers to. May itself be interrupted anywhere and started again.
void repair(zone &z) noexcept;

} // namespace websocket::broker::detail
