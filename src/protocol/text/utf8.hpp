// Validates UTF-8 that arrives in pieces (RFC 3629), as RFC 6455 8.1 requires.
#pragma once

#include "protocol/text/simd.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace websocket::protocol {

// Keeps the state between pieces, not the pieces. One byte, trivially copyable.
class utf8_checker {
public:
    // Checks the next piece. False if it holds a byte that is impossible there,
    // even the last, and for all later pieces until reset(). A piece may end
    // inside a character.
    [[nodiscard]] bool feed(std::span<const std::byte> piece) noexcept;

    // The same on a given path, for tests and benchmarks. The machine must
    // support it: at most best_simd_level().
    [[nodiscard]] bool feed(std::span<const std::byte> piece,
                            simd_level level) noexcept;

    // True if all input was valid and ends at a character boundary.
    [[nodiscard]] bool complete() const noexcept { return state_ == 0; }

    void reset() noexcept { *this = utf8_checker{}; }

private:
    // Zero at a character boundary; utf8.cpp defines the others.
    std::uint8_t state_ = 0;
};

// Checks a whole text.
[[nodiscard]] bool is_valid_utf8(std::span<const std::byte> text) noexcept;

namespace detail {

// The paths. `text` begins at a character boundary. False if a byte is
// impossible in its place. A lead byte at the very end is left to the caller,
// who keeps the state. Nothing outside the span is read.
bool validate_utf8_portable(std::span<const std::uint8_t> text) noexcept;

#if defined(__x86_64__)
// A path looks three bytes back from its last register.
inline constexpr std::size_t min_sse2_size = 16 + 3;
inline constexpr std::size_t min_avx2_size = 32 + 3;

bool validate_utf8_sse2(std::span<const std::uint8_t> text) noexcept;
bool validate_utf8_avx2(std::span<const std::uint8_t> text) noexcept;
#endif

} // namespace detail
} // namespace websocket::protocol
