// Memory of a message that arrives in pieces.
#pragma once

#include "protocol/frames/shared_buffer.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace websocket::protocol {

// A client may announce more than it sends. Up to this many bytes are reserved
// at once; beyond that, memory grows with the bytes received.
inline constexpr std::uint64_t max_initial_capacity = std::uint64_t{1} << 20;

// Reserves memory for `more` bytes after those of `buffer`, and for `expected`
// bytes in all up to max_initial_capacity. A growing buffer doubles, up to
// `limit`. False: no memory.
[[nodiscard]] bool reserve_for(shared_buffer &buffer, std::uint64_t expected,
                               std::size_t more, std::uint64_t limit) noexcept;

// Whether a piece lies in the buffer's memory because it was received there.
bool lies_within(std::span<const std::byte> piece,
                 const shared_buffer &buffer) noexcept;

} // namespace websocket::protocol
