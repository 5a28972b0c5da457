// Unmasks the payload of a client's frame (RFC 6455 5.3).
#pragma once

#include "protocol/text/simd.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace websocket::protocol {

// The four bytes in the order of the frame header.
using masking_key = std::array<std::byte, 4>;

// XORs `payload` in place with the repeated key; doing so twice restores it.
// `offset` is the position of payload[0] in the payload of the frame, for a
// payload in pieces; only offset % 4 matters. Any alignment and length; nothing
// outside the span is read or written. Returns whether the result is ASCII.
bool unmask(std::span<std::byte> payload, masking_key key,
            std::size_t offset) noexcept;

// The same on a given path, for tests and benchmarks. The machine must support
// it: at most best_simd_level(). Payloads under 32 bytes take one common path.
bool unmask(std::span<std::byte> payload, masking_key key, std::size_t offset,
            simd_level level) noexcept;

namespace detail {

// Unmasks a word in place and returns it.
template <typename word>
std::uint64_t unmask_word(std::byte *at, word mask) noexcept
{
    word value;

    std::memcpy(&value, at, sizeof value);
    value ^= mask;
    std::memcpy(at, &value, sizeof value);
    return value;
}

constexpr bool ascii(std::uint64_t seen) noexcept
{
    return (seen & 0x8080808080808080) == 0;
}

// Less than 32 bytes, as most chat messages are, from a multiple of 4 in the
// payload: one step for each bit of the size. Words do not overlap, because a
// load that spans overlapping stores waits until they have reached the cache.
inline bool unmask_short(std::byte *at, std::size_t size,
                         masking_key key) noexcept
{
    const auto mask = std::bit_cast<std::uint32_t>(key);
    const std::uint64_t twice = std::uint64_t{mask} << 32 | mask;
    std::uint64_t seen = 0;

    if ((size & 16) != 0) {
        seen = unmask_word(at, twice) | unmask_word(at + 8, twice);
        at += 16;
    }
    if ((size & 8) != 0) {
        seen |= unmask_word(at, twice);
        at += 8;
    }
    if ((size & 4) != 0) {
        seen |= unmask_word(at, mask);
        at += 4;
    }
    for (std::size_t i = 0; i != (size & 3); i++) {
        at[i] ^= key[i];
        seen |= std::to_integer<std::uint64_t>(at[i]);
    }
    return ascii(seen);
}

} // namespace detail

// The same for a whole payload: few instructions if it is short.
inline bool unmask(std::span<std::byte> payload, masking_key key) noexcept
{
    return payload.size() < 32
               ? detail::unmask_short(payload.data(), payload.size(), key)
               : unmask(payload, key, 0, best_simd_level());
}

} // namespace websocket::protocol
