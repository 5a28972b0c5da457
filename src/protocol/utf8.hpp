// Checks UTF-8 that arrives in pieces (RFC 3629), as RFC 6455 8.1 asks.
#pragma once

#include "protocol/simd.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace websocket::protocol {

// Holds what the end of one piece says about the beginning of the next; the
// pieces themselves are not kept. One byte, trivially copyable.
class utf8_checker {
public:
    // Takes the next piece. False when it holds a byte that cannot stand
    // there, be it the piece's last, and for ever after until reset(). A piece
    // that ends inside a character is fine so far.
    [[nodiscard]] bool feed(std::span<const std::byte> piece) noexcept;

    // The same on a path of the caller's choice, for tests and benchmarks. The
    // machine must have it: at most best_simd_level().
    [[nodiscard]] bool feed(std::span<const std::byte> piece,
                            simd_level level) noexcept;

    // True when all that was fed was valid and ends on a character boundary.
    [[nodiscard]] bool complete() const noexcept { return state_ == 0; }

    void reset() noexcept { *this = utf8_checker{}; }

private:
    // Zero on a character boundary; utf8.cpp knows the others.
    std::uint8_t state_ = 0;
};

// Checks a whole text at once.
[[nodiscard]] bool is_valid_utf8(std::span<const std::byte> text) noexcept;

namespace detail {

// The paths. `text` begins on a character boundary. False if it holds a byte
// that is impossible where it stands; a lead byte at the very end is left to
// the caller, who has to note what it begins. Nothing outside the span is read.
bool validate_utf8_portable(std::span<const std::uint8_t> text) noexcept;

#if defined(__x86_64__)
// What a path needs to look three bytes back from its last register.
inline constexpr std::size_t min_sse2_size = 16 + 3;
inline constexpr std::size_t min_avx2_size = 32 + 3;

bool validate_utf8_sse2(std::span<const std::uint8_t> text) noexcept;
bool validate_utf8_avx2(std::span<const std::uint8_t> text) noexcept;
#endif

} // namespace detail
} // namespace websocket::protocol
