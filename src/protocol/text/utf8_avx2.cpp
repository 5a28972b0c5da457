// Validates UTF-8 32 bytes at a time, with table lookups on the halves of each
// pair of bytes.
#include "protocol/text/utf8.hpp"

#if defined(__x86_64__)

#include <array>

#include <immintrin.h>

// Each function enables AVX2 for itself. A flag for the whole file would also
// compile inline functions of the standard library for AVX2. The linker could
// then pick those copies for the rest of the program.
#define WEBSOCKET_AVX2 [[gnu::target("avx2")]]

namespace websocket::protocol::detail {
namespace avx2 {
namespace {

// Faults of two consecutive bytes, one bit each. A pair has a fault if three
// values all allow it: the upper and the lower half of the first byte, and the
// upper half of the second. Each is a lookup in a table of 16; the results are
// joined by AND. Lower halves of second bytes never matter (RFC 3629 section
// 4).
enum fault : std::uint8_t {
    cut_short = 1 << 0,  // lead byte, then no continuation byte
    stray = 1 << 1,      // ASCII, then a continuation byte
    long_two = 1 << 2,   // C0 or C1: ASCII in two bytes
    long_three = 1 << 3, // E0, then 80..9F
    surrogate = 1 << 4,  // ED, then A0..BF
    long_four = 1 << 5,  // F0, then 80..8F; also F5 and more, then these
    too_large = 1 << 6,  // F4 and more, then 90..BF
    // Two continuation bytes: valid if and only if a character of three or four
    // bytes began two or three bytes before the second. This is the top bit,
    // because the check yields that bit.
    second_more = 1 << 7,
};

using half_table = std::array<std::uint8_t, 16>;

constexpr half_table by_first_upper = [] {
    half_table faults{};
    for (std::size_t upper = 0; upper < 8; ++upper) {
        faults[upper] = stray;
    }
    for (std::size_t upper = 8; upper < 12; ++upper) {
        faults[upper] = second_more;
    }
    faults[0xC] = cut_short | long_two;
    faults[0xD] = cut_short;
    faults[0xE] = cut_short | long_three | surrogate;
    faults[0xF] = cut_short | long_four | too_large;
    return faults;
}();

constexpr half_table by_first_lower = [] {
    half_table faults{};
    for (auto &any : faults) {
        any = cut_short | stray | second_more;
    }
    faults[0x0] |= long_two | long_three | long_four;
    faults[0x1] |= long_two;
    faults[0x4] |= too_large;
    for (std::size_t lower = 5; lower < 16; ++lower) {
        faults[lower] |= long_four | too_large;
    }
    faults[0xD] |= surrogate;
    return faults;
}();

constexpr half_table by_second_upper = [] {
    half_table faults{};
    for (auto &any : faults) {
        any = cut_short;
    }
    constexpr std::uint8_t continuation = stray | long_two | second_more;
    faults[0x8] = continuation | long_three | long_four;
    faults[0x9] = continuation | long_three | too_large;
    faults[0xA] = continuation | surrogate | too_large;
    faults[0xB] = continuation | surrogate | too_large;
    return faults;
}();

// 32 bytes, and for each the one, two and three bytes before it.
struct window {
    __m256i at;
    __m256i back1;
    __m256i back2;
    __m256i back3;
};

struct tables {
    __m256i first_upper;
    __m256i first_lower;
    __m256i second_upper;
};

WEBSOCKET_AVX2 inline __m256i load(const std::uint8_t *from) noexcept
{
    return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from));
}

WEBSOCKET_AVX2 inline __m256i all(unsigned byte) noexcept
{
    return _mm256_set1_epi8(static_cast<char>(byte));
}

// Lookups stay within each half of a register, so both halves hold the table.
WEBSOCKET_AVX2 inline __m256i both(const half_table &table) noexcept
{
    return _mm256_broadcastsi128_si256(
        _mm_loadu_si128(reinterpret_cast<const __m128i *>(table.data())));
}

WEBSOCKET_AVX2 inline window window_at(const std::uint8_t *at) noexcept
{
    return {load(at), load(at - 1), load(at - 2), load(at - 3)};
}

// At the beginning: zeros, which are ASCII, precede the text.
WEBSOCKET_AVX2 inline window first_window(__m256i at) noexcept
{
    // Zeros, then the first half: the bytes before each half.
    const __m256i before = _mm256_permute2x128_si256(at, at, 0x08);
    return {at, _mm256_alignr_epi8(at, before, 15),
            _mm256_alignr_epi8(at, before, 14),
            _mm256_alignr_epi8(at, before, 13)};
}

WEBSOCKET_AVX2 inline __m256i upper_half(__m256i bytes) noexcept
{
    return _mm256_and_si256(_mm256_srli_epi16(bytes, 4), all(0x0F));
}

// Not zero for a byte that cannot follow those before it. An invalid lead byte
// is found only with the byte after it.
WEBSOCKET_AVX2 inline __m256i impossible(const window &bytes,
                                         const tables &faults) noexcept
{
    const __m256i first_upper =
        _mm256_shuffle_epi8(faults.first_upper, upper_half(bytes.back1));
    const __m256i first_lower = _mm256_shuffle_epi8(
        faults.first_lower, _mm256_and_si256(bytes.back1, all(0x0F)));
    const __m256i second_upper =
        _mm256_shuffle_epi8(faults.second_upper, upper_half(bytes.at));
    const __m256i pair = _mm256_and_si256(
        _mm256_and_si256(first_upper, first_lower), second_upper);
    // Saturating subtractions set the top bit for E0 and more, F0 and more.
    const __m256i third = _mm256_subs_epu8(bytes.back2, all(0xE0 - 0x80));
    const __m256i fourth = _mm256_subs_epu8(bytes.back3, all(0xF0 - 0x80));
    const __m256i more =
        _mm256_and_si256(_mm256_or_si256(third, fourth), all(second_more));
    return _mm256_xor_si256(pair, more);
}

WEBSOCKET_AVX2 inline bool ascii_64(const std::uint8_t *at) noexcept
{
    const __m256i bytes = _mm256_or_si256(load(at), load(at + 32));
    return _mm256_movemask_epi8(bytes) == 0;
}

// The first 64 bytes, counted from `at`, that are not all ASCII.
WEBSOCKET_AVX2 inline const std::uint8_t *
skip_ascii(const std::uint8_t *at, const std::uint8_t *end) noexcept
{
    while (end - at >= 64 && ascii_64(at)) {
        at += 64;
    }
    return at;
}

} // namespace
} // namespace avx2

WEBSOCKET_AVX2 bool
validate_utf8_avx2(std::span<const std::uint8_t> text) noexcept
{
    using namespace avx2;

    const tables faults{both(by_first_upper), both(by_first_lower),
                        both(by_second_upper)};
    const std::uint8_t *at = text.data();
    const std::uint8_t *end = at + text.size();
    __m256i wrong = impossible(first_window(load(at)), faults);
    at += 32;
    for (; end - at >= 64; at += 64) {
        // After ASCII no continuation byte is expected.
        if (at[-1] < 0x80) {
            at = skip_ascii(at, end);
            if (end - at < 64) {
                break;
            }
        }
        const __m256i first = impossible(window_at(at), faults);
        const __m256i second = impossible(window_at(at + 32), faults);
        wrong = _mm256_or_si256(wrong, _mm256_or_si256(first, second));
    }
    if (end - at > 32) {
        wrong = _mm256_or_si256(wrong, impossible(window_at(at), faults));
    }
    // The last 32 bytes, some of them checked before.
    wrong = _mm256_or_si256(wrong, impossible(window_at(end - 32), faults));
    return _mm256_testz_si256(wrong, wrong) != 0;
}

} // namespace websocket::protocol::detail

#undef WEBSOCKET_AVX2

#endif
