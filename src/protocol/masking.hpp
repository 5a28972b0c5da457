// Takes the mask off a client's payload (RFC 6455 section 5.3).
#pragma once

#include "protocol/simd.hpp"

#include <array>
#include <cstddef>
#include <span>

namespace websocket::protocol {

// The four bytes as they stand in the frame header.
using masking_key = std::array<std::byte, 4>;

// XORs `payload` in place with the repeated key; doing it twice restores it.
// `offset` is the position of payload[0] within the frame's payload, for a
// payload that arrives in pieces (only offset % 4 matters). Any alignment, any
// length; nothing outside the span is read or written. True if what comes out
// is ASCII.
bool unmask(std::span<std::byte> payload, masking_key key,
            std::size_t offset = 0) noexcept;

// The same on a path of the caller's choice, for tests and benchmarks. The
// machine must have it: at most best_simd_level(). Payloads of up to 32 bytes
// take one common way on every path.
bool unmask(std::span<std::byte> payload, masking_key key, std::size_t offset,
            simd_level level) noexcept;

} // namespace websocket::protocol
