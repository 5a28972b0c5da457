// How the buffer of a message that comes in pieces takes its memory.
#pragma once

#include "protocol/shared_buffer.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace websocket::protocol {

// A client may announce more than it sends: up to here the announced length
// is reserved at once, beyond it memory follows the bytes that arrived.
inline constexpr std::uint64_t max_initial_capacity = std::uint64_t{1} << 20;

// Makes room for `more` bytes behind those of `buffer`, and for `expected`
// bytes in all as far as that may be reserved at once. A buffer that grows
// doubles, up to `limit`. False when there is no memory.
[[nodiscard]] bool reserve_for(shared_buffer &buffer, std::uint64_t expected,
                               std::size_t more, std::uint64_t limit) noexcept;

// Whether a piece lies in the buffer's memory, as one does that was received
// there.
bool lies_within(std::span<const std::byte> piece,
                 const shared_buffer &buffer) noexcept;

} // namespace websocket::protocol
