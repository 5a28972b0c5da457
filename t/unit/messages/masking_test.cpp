// Unmasking: each SIMD level is compared with a loop over bytes.
#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include "protocol/frames/masking.hpp"

#include "guarded_memory.hpp"
#include "simd_levels.hpp"

using namespace websocket::protocol;

namespace {

using bytes = std::vector<std::byte>;

constexpr masking_key key{std::byte{0x37}, std::byte{0xFA}, std::byte{0x21},
                          std::byte{0x3D}};

bytes random_bytes(std::size_t size)
{
    std::mt19937 random(static_cast<unsigned>(size));
    bytes result(size);
    std::generate(result.begin(), result.end(),
                  [&] { return static_cast<std::byte>(random()); });
    return result;
}

void unmask_by_byte(std::span<std::byte> payload, std::size_t offset)
{
    for (std::size_t i = 0; i < payload.size(); ++i) {
        payload[i] ^= key[(i + offset) % 4];
    }
}

bytes text_bytes(std::string_view text)
{
    bytes result(text.size());
    std::memcpy(result.data(), text.data(), text.size());
    return result;
}

} // namespace

// The second example of RFC 6455 section 5.7.
TEST(unmask, restores_the_hello_of_the_rfc)
{
    bytes payload = text_bytes("\x7F\x9F\x4D\x51\x58");
    unmask(payload, key);
    EXPECT_EQ(payload, text_bytes("Hello"));
}

TEST(unmask, takes_an_empty_payload)
{
    for (const simd_level level : simd_levels()) {
        unmask({}, key, 3, level);
    }
    unmask({}, key);
}

TEST(unmask, with_a_key_of_zeros_changes_nothing)
{
    const bytes payload = random_bytes(300);
    for (const simd_level level : simd_levels()) {
        bytes unmasked = payload;
        unmask(unmasked, masking_key{}, 1, level);
        EXPECT_EQ(unmasked, payload) << simd_level_name(level);
    }
}

// The bytes around the payload must not change.
TEST(unmask, equals_the_loop_for_all_lengths_offsets_and_alignments)
{
    constexpr std::size_t border = 64;
    alignas(64) std::array<std::byte, 64 + 200 + 2 * border> space;
    const bytes noise = random_bytes(space.size());

    for (const simd_level level : simd_levels()) {
        for (std::size_t size = 0; size <= 200; ++size) {
            for (std::size_t offset = 0; offset < 8; ++offset) {
                for (std::size_t shift = 0; shift < 64; ++shift) {
                    std::copy(noise.begin(), noise.end(), space.begin());
                    const std::span payload(&space[border + shift], size);
                    unmask(payload, key, offset, level);
                    unmask_by_byte(payload, offset);
                    ASSERT_TRUE(std::ranges::equal(space, noise))
                        << simd_level_name(level) << ", size " << size
                        << ", offset " << offset << ", shift " << shift;
                }
            }
        }
    }
}

TEST(unmask, equals_the_loop_for_long_payloads)
{
    for (const simd_level level : simd_levels()) {
        for (const std::size_t size : {4095, 4096, 16384, 65536, 100003}) {
            const bytes masked = random_bytes(size);
            bytes expected = masked;
            bytes unmasked = masked;
            unmask_by_byte(expected, 2);
            unmask(unmasked, key, 2, level);
            EXPECT_EQ(unmasked, expected)
                << simd_level_name(level) << ", size " << size;
        }
    }
}

TEST(unmask, without_a_level_equals_the_loop)
{
    for (std::size_t size = 0; size <= 300; ++size) {
        const bytes masked = random_bytes(size);
        bytes expected = masked;
        bytes unmasked = masked;
        unmask_by_byte(expected, 0);
        unmask(unmasked, key);
        EXPECT_EQ(unmasked, expected) << "size " << size;
    }
}

TEST(unmask, in_two_pieces_equals_the_whole_at_every_cut)
{
    const bytes masked = random_bytes(200);
    bytes expected = masked;
    unmask_by_byte(expected, 0);

    for (const simd_level level : simd_levels()) {
        for (std::size_t cut = 0; cut <= masked.size(); ++cut) {
            bytes unmasked = masked;
            const std::span whole(unmasked);
            unmask(whole.first(cut), key, 0, level);
            unmask(whole.subspan(cut), key, cut, level);
            EXPECT_EQ(unmasked, expected)
                << simd_level_name(level) << ", cut " << cut;
        }
    }
}

TEST(unmask, byte_by_byte_equals_the_whole)
{
    const bytes masked = random_bytes(200);
    bytes expected = masked;
    bytes unmasked = masked;
    unmask_by_byte(expected, 0);
    for (std::size_t i = 0; i < unmasked.size(); ++i) {
        unmask(std::span(unmasked).subspan(i, 1), key, i);
    }
    EXPECT_EQ(unmasked, expected);
}

TEST(unmask, takes_offsets_up_to_the_greatest)
{
    constexpr std::size_t greatest = ~std::size_t{0};
    const bytes masked = random_bytes(200);
    for (const simd_level level : simd_levels()) {
        for (std::size_t size = 0; size <= masked.size(); ++size) {
            for (std::size_t back = 0; back < 4; ++back) {
                bytes expected(masked.begin(), masked.begin() + size);
                bytes unmasked = expected;
                unmask_by_byte(expected, 3 - back);
                unmask(unmasked, key, greatest - back, level);
                ASSERT_EQ(unmasked, expected)
                    << simd_level_name(level) << ", size " << size;
            }
        }
    }
}

TEST(unmask, touches_nothing_outside_the_payload)
{
    const guarded_memory memory;
    for (const simd_level level : simd_levels()) {
        for (std::size_t size = 0; size <= 300; ++size) {
            unmask(memory.front(size), key, size, level);
            unmask(memory.back(size), key, size, level);
        }
    }
}

TEST(unmask, finds_each_byte_that_is_not_ascii)
{
    for (const simd_level level : simd_levels()) {
        for (std::size_t size = 0; size <= 300; ++size) {
            for (std::size_t high = 0; high <= size; ++high) {
                bytes text(size, std::byte{'a'});

                if (high != size) {
                    text[high] = std::byte{0x80};
                }

                unmask_by_byte(text, size);

                ASSERT_EQ(unmask(text, key, size, level), high == size)
                    << simd_level_name(level) << ", size " << size << ", byte "
                    << high;
            }
        }
    }
}
