// The compression streams of this worker.
#pragma once

#include "protocol/deflate/deflater.hpp"

#include <cstdint>

namespace websocket::nginx::compression {

// For clients without context takeover.
inline protocol::deflater_pool deflaters;

// Bytes compressed so far, for budgets.
inline std::uint64_t compressed = 0;

} // namespace websocket::nginx::compression
