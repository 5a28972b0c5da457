// A message's way into a log that has been found.
#pragma once

#include "broker/types.hpp"
#include "broker/zone.hpp"

namespace websocket::broker::detail {

// Puts it at the end of the log, with the next number, and makes it news. What
// nobody is subscribed to and no history wants takes its number only. Makes
// room for it first, as far as one hold of the lock is to reach. False: to be
// called again, with the same result, when others have had the lock.
bool append_to(zone &z, index log, const publication &what, std::uint64_t now,
               appended &result) noexcept;

} // namespace websocket::broker::detail
