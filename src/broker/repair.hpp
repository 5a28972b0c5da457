// Puts right what a process that died in the middle of a change has left.
#pragma once

#include "broker/zone.hpp"

namespace websocket::broker::detail {

// Makes all that is derived anew from what is primary, and frees every block
// that nothing reaches. May itself be left off anywhere and begun again.
void repair(zone &z) noexcept;

} // namespace websocket::broker::detail
