// Validates UTF-8 16 bytes at a time: compares each byte with the three before
// it.
#include "protocol/text/utf8.hpp"

#if defined(__x86_64__)

#include <emmintrin.h>

namespace websocket::protocol::detail {
namespace sse2 {
namespace {

// 16 bytes, and for each the one, two and three bytes before it.
struct window {
    __m128i at;
    __m128i back1;
    __m128i back2;
    __m128i back3;
};

__m128i load(const std::uint8_t *from) noexcept
{
    return _mm_loadu_si128(reinterpret_cast<const __m128i *>(from));
}

__m128i all(unsigned byte) noexcept
{
    return _mm_set1_epi8(static_cast<char>(byte));
}

window window_at(const std::uint8_t *at) noexcept
{
    return {load(at), load(at - 1), load(at - 2), load(at - 3)};
}

// At the beginning: zeros, which are ASCII, precede the text.
window first_window(__m128i at) noexcept
{
    return {at, _mm_slli_si128(at, 1), _mm_slli_si128(at, 2),
            _mm_slli_si128(at, 3)};
}

// In this file the top bit of each byte is a boolean; the other seven bits have
// no meaning. at_least() sets it for bytes of `lowest` or more, with `lowest`
// at least 0x80: a saturating subtraction maps `lowest` to 0x80.
__m128i at_least(__m128i bytes, unsigned lowest) noexcept
{
    return _mm_subs_epu8(bytes, all(lowest - 0x80));
}

// Continuation bytes that a lead byte forbids as its second byte. misplaced()
// finds all others.
__m128i narrowed(const window &bytes) noexcept
{
    // E0 requires bit 5 set (A0..BF), ED requires it clear (80..9F).
    const __m128i bit5 = _mm_slli_epi16(bytes.at, 2);
    const __m128i e0 = _mm_cmpeq_epi8(bytes.back1, all(0xE0));
    const __m128i ed = _mm_cmpeq_epi8(bytes.back1, all(0xED));
    const __m128i three =
        _mm_or_si128(_mm_andnot_si128(bit5, e0), _mm_and_si128(bit5, ed));
    // F0 requires 90 or more, F4 less.
    const __m128i from90 = at_least(bytes.at, 0x90);
    const __m128i f0 = _mm_cmpeq_epi8(bytes.back1, all(0xF0));
    const __m128i f4 = _mm_cmpeq_epi8(bytes.back1, all(0xF4));
    const __m128i four =
        _mm_or_si128(_mm_andnot_si128(from90, f0), _mm_and_si128(from90, f4));
    return _mm_or_si128(three, four);
}

// A byte must be a continuation byte if and only if one of the three before it
// begins a character that is long enough.
__m128i misplaced(const window &bytes) noexcept
{
    const __m128i expected = _mm_or_si128(
        at_least(bytes.back1, 0xC0),
        _mm_or_si128(at_least(bytes.back2, 0xE0), at_least(bytes.back3, 0xF0)));
    // As signed numbers, 80..BF are the smallest.
    const __m128i found = _mm_cmplt_epi8(bytes.at, all(0xC0));
    return _mm_xor_si128(expected, found);
}

// C0, C1 and F5..FF are always invalid.
__m128i unknown(__m128i bytes) noexcept
{
    const __m128i c0_c1 =
        _mm_cmpeq_epi8(_mm_and_si128(bytes, all(0xFE)), all(0xC0));
    return _mm_or_si128(c0_c1, at_least(bytes, 0xF5));
}

inline __m128i impossible(const window &bytes) noexcept
{
    return _mm_or_si128(misplaced(bytes),
                        _mm_or_si128(narrowed(bytes), unknown(bytes.at)));
}

bool none(__m128i truths) noexcept
{
    return _mm_movemask_epi8(truths) == 0;
}

bool ascii_64(const std::uint8_t *at) noexcept
{
    return none(_mm_or_si128(_mm_or_si128(load(at), load(at + 16)),
                             _mm_or_si128(load(at + 32), load(at + 48))));
}

// The first 64 bytes, counted from `at`, that are not all ASCII.
const std::uint8_t *skip_ascii(const std::uint8_t *at,
                               const std::uint8_t *end) noexcept
{
    while (end - at >= 64 && ascii_64(at)) {
        at += 64;
    }
    return at;
}

} // namespace
} // namespace sse2

bool validate_utf8_sse2(std::span<const std::uint8_t> text) noexcept
{
    using namespace sse2;

    const std::uint8_t *at = text.data();
    const std::uint8_t *end = at + text.size();
    __m128i wrong = impossible(first_window(load(at)));
    at += 16;
    for (; end - at >= 16; at += 16) {
        // After ASCII no continuation byte is expected.
        if (at[-1] < 0x80) {
            at = skip_ascii(at, end);
            if (end - at < 16) {
                break;
            }
        }
        wrong = _mm_or_si128(wrong, impossible(window_at(at)));
    }
    // The last 16 bytes, some of them checked before.
    wrong = _mm_or_si128(wrong, impossible(window_at(end - 16)));
    return none(wrong);
}

} // namespace websocket::protocol::detail

#endif
