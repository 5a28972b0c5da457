// Unmasks in words of 8, 16 or 32 bytes.
#include "protocol/frames/masking.hpp"

#include <bit>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace websocket::protocol {
namespace {

template <typename word>
word load(const std::byte *from) noexcept
{
    word value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

template <typename word>
void store(std::byte *to, word value) noexcept
{
    std::memcpy(to, &value, sizeof value);
}

// The key as a word of memory that begins at `offset` of the payload.
std::uint32_t key_at(masking_key key, std::size_t offset) noexcept
{
    const auto bits = static_cast<int>(offset % 4 * 8);
    const auto word = std::bit_cast<std::uint32_t>(key);
    if constexpr (std::endian::native == std::endian::little) {
        return std::rotr(word, bits);
    }
    return std::rotl(word, bits);
}

std::uint64_t twice(std::uint32_t key) noexcept
{
    return std::uint64_t{key} << 32 | key;
}

// Each path returns whether all unmasked bytes are ASCII, so that the UTF-8
// check need not read them again.

masking_key rotated(masking_key key, std::size_t offset) noexcept
{
    return std::bit_cast<masking_key>(key_at(key, offset));
}

// The long paths load the words at both ends before they write, and store them
// last. These words may overlap their neighbours, because a byte that is
// written twice gets the same value. So nothing is left over at the ends, and
// SSE2 and AVX2 have aligned words in between.

// At least 8 bytes.
bool unmask_portable(std::byte *at, std::size_t size, masking_key key,
                     std::size_t offset) noexcept
{
    const std::uint64_t mask = twice(key_at(key, offset));
    std::byte *end = at + size;
    const std::uint64_t last =
        load<std::uint64_t>(end - 8) ^ twice(key_at(key, offset + size));
    std::uint64_t seen = last;

    for (; end - at >= 32; at += 32) {
        for (std::size_t i = 0; i < 32; i += 8) {
            seen |= detail::unmask_word(at + i, mask);
        }
    }
    for (; end - at >= 8; at += 8) {
        seen |= detail::unmask_word(at, mask);
    }
    store(end - 8, last);
    return detail::ascii(seen);
}

#if defined(__x86_64__)

// The first address after `at` that is a multiple of `alignment`.
std::byte *next_aligned(std::byte *at, std::size_t alignment) noexcept
{
    return at + (alignment - reinterpret_cast<std::uintptr_t>(at) % alignment);
}

__m128i mask_128(masking_key key, std::size_t offset) noexcept
{
    return _mm_set1_epi32(static_cast<int>(key_at(key, offset)));
}

__m128i xor_128(std::byte *at, __m128i mask) noexcept
{
    auto *word = reinterpret_cast<__m128i *>(at);
    const __m128i plain = _mm_xor_si128(_mm_load_si128(word), mask);
    _mm_store_si128(word, plain);
    return plain;
}

// At least 16 bytes.
bool unmask_sse2(std::byte *at, std::size_t size, masking_key key,
                 std::size_t offset) noexcept
{
    auto *first = reinterpret_cast<__m128i *>(at);
    auto *last = reinterpret_cast<__m128i *>(at + size - 16);
    const __m128i front =
        _mm_xor_si128(_mm_loadu_si128(first), mask_128(key, offset));
    const __m128i back =
        _mm_xor_si128(_mm_loadu_si128(last), mask_128(key, offset + size));

    std::byte *end = at + size;
    std::byte *middle = next_aligned(at, 16);
    const __m128i mask =
        mask_128(key, offset + static_cast<std::size_t>(middle - at));
    __m128i seen = _mm_or_si128(front, back);
    for (; end - middle >= 64; middle += 64) {
        const __m128i one =
            _mm_or_si128(xor_128(middle, mask), xor_128(middle + 16, mask));
        const __m128i two = _mm_or_si128(xor_128(middle + 32, mask),
                                         xor_128(middle + 48, mask));
        seen = _mm_or_si128(seen, _mm_or_si128(one, two));
    }
    for (; end - middle >= 16; middle += 16) {
        seen = _mm_or_si128(seen, xor_128(middle, mask));
    }
    _mm_storeu_si128(first, front);
    _mm_storeu_si128(last, back);
    return _mm_movemask_epi8(seen) == 0;
}

// Each function enables AVX2 for itself. A flag for the whole file would also
// compile inline functions of the standard library for AVX2. The linker could
// then pick those copies for the rest of the program.
[[gnu::target("avx2")]] __m256i mask_256(masking_key key,
                                         std::size_t offset) noexcept
{
    return _mm256_set1_epi32(static_cast<int>(key_at(key, offset)));
}

[[gnu::target("avx2")]] __m256i xor_256(std::byte *at, __m256i mask) noexcept
{
    auto *word = reinterpret_cast<__m256i *>(at);
    const __m256i plain = _mm256_xor_si256(_mm256_load_si256(word), mask);
    _mm256_store_si256(word, plain);
    return plain;
}

// At least 32 bytes.
[[gnu::target("avx2")]] bool unmask_avx2(std::byte *at, std::size_t size,
                                         masking_key key,
                                         std::size_t offset) noexcept
{
    auto *first = reinterpret_cast<__m256i *>(at);
    auto *last = reinterpret_cast<__m256i *>(at + size - 32);
    const __m256i front =
        _mm256_xor_si256(_mm256_loadu_si256(first), mask_256(key, offset));
    const __m256i back = _mm256_xor_si256(_mm256_loadu_si256(last),
                                          mask_256(key, offset + size));

    std::byte *end = at + size;
    std::byte *middle = next_aligned(at, 32);
    const __m256i mask =
        mask_256(key, offset + static_cast<std::size_t>(middle - at));
    __m256i seen = _mm256_or_si256(front, back);
    for (; end - middle >= 128; middle += 128) {
        const __m256i one =
            _mm256_or_si256(xor_256(middle, mask), xor_256(middle + 32, mask));
        const __m256i two = _mm256_or_si256(xor_256(middle + 64, mask),
                                            xor_256(middle + 96, mask));
        seen = _mm256_or_si256(seen, _mm256_or_si256(one, two));
    }
    for (; end - middle >= 32; middle += 32) {
        seen = _mm256_or_si256(seen, xor_256(middle, mask));
    }
    _mm256_storeu_si256(first, front);
    _mm256_storeu_si256(last, back);
    return _mm256_movemask_epi8(seen) == 0;
}

#endif

} // namespace

bool unmask(std::span<std::byte> payload, masking_key key, std::size_t offset,
            simd_level level) noexcept
{
    std::byte *at = payload.data();
    const std::size_t size = payload.size();
    if (size < 32) {
        return detail::unmask_short(at, size, rotated(key, offset));
    }
#if defined(__x86_64__)
    if (level == simd_level::avx2) {
        return unmask_avx2(at, size, key, offset);
    }
    if (level == simd_level::sse2) {
        return unmask_sse2(at, size, key, offset);
    }
#else
    static_cast<void>(level);
#endif
    return unmask_portable(at, size, key, offset);
}

bool unmask(std::span<std::byte> payload, masking_key key,
            std::size_t offset) noexcept
{
    return unmask(payload, key, offset, best_simd_level());
}

} // namespace websocket::protocol
