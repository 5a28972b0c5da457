// The limits of compressed messages and their memory. Neither depends on the
// size to which a small payload could inflate (RFC 7692 8).
#include "protocol/messages/message_reader.hpp"

#include "deflate_builder.hpp"
#include "frame_builder.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

using namespace websocket::protocol;
using compression::compressed;
using compression::lone_reader;
using compression::takeover_reader;
using frames::binary_message;
using frames::events;
using frames::failed;
using frames::fin;
using frames::frame;

namespace {

constexpr unsigned text = fin | frames::text;
constexpr unsigned binary = fin | frames::binary;
constexpr unsigned more = frames::continuation;
constexpr std::size_t mebibyte = std::size_t{1} << 20;

constexpr message_limits messages_of_1000{.max_message_size = 1000};

std::string packed(unsigned first, std::string_view payload)
{
    return compression::frame(first, payload);
}

events read(const std::string &wire, const message_limits &limits)
{
    return frames::read_all_ways<lone_reader>(wire, limits);
}

// Compresses `size` equal bytes in parts.
std::string bomb(std::size_t size)
{
    compression::sender compressor{9};
    const std::string part(mebibyte, '\0');
    std::string payload;

    for (std::size_t i = 0; i < size; i += part.size()) {
        payload += compressor.part(part, Z_NO_FLUSH);
    }

    return payload + compressor.message("");
}

} // namespace

TEST(compressed_limits, take_a_message_of_the_size)
{
    const std::string letters(1000, 'x');

    EXPECT_EQ(read(packed(binary, compressed(letters)), messages_of_1000),
              events{binary_message(letters)});
    EXPECT_EQ(read(packed(binary, compressed("")), {.max_message_size = 0}),
              events{binary_message("")});
}

TEST(compressed_limits, refuse_a_message_that_inflates_to_more)
{
    const events refused{failed(error::message_too_big)};

    for (const std::size_t size : {1001U, 1002U, 1064U, 1065U, 5000U}) {
        EXPECT_EQ(read(packed(binary, compressed(std::string(size, 'x'))),
                       messages_of_1000),
                  refused);
    }
    EXPECT_EQ(read(packed(binary, compressed("x")), {.max_message_size = 0}),
              refused);
}

TEST(compressed_limits, count_the_inflated_bytes_of_all_fragments)
{
    compression::sender peer;
    const std::string first = peer.part(std::string(600, 'x'), Z_SYNC_FLUSH);
    const std::string rest = peer.message(std::string(401, 'x'));

    EXPECT_EQ(read(packed(frames::binary, first) + frame(fin | more, rest),
                   messages_of_1000),
              events{failed(error::message_too_big)});
}

TEST(compressed_limits, report_the_fault_that_comes_first)
{
    const std::string bad = std::string(999, 'x') + "\xff";

    EXPECT_EQ(read(packed(text, compressed(bad + "more")), messages_of_1000),
              events{failed(error::invalid_utf8)});
    EXPECT_EQ(read(packed(text, compressed("xx" + bad)), messages_of_1000),
              events{failed(error::message_too_big)});
    // Invalid after the limit
    compression::sender peer;
    EXPECT_EQ(read(packed(text, peer.part(std::string(1001, 'x'), Z_SYNC_FLUSH)
                                    .append("\x06")),
                   messages_of_1000),
              events{failed(error::message_too_big)});
}

TEST(compressed_limits, take_a_message_that_grows_by_compression)
{
    const message_limits limits{.max_message_size = 1000,
                                .max_frame_size = 1000};
    std::mt19937 random{1};
    std::string noise(1000, '\0');
    std::generate(noise.begin(), noise.end(),
                  [&] { return static_cast<char>(random()); });
    const std::string payload = compressed(noise);

    ASSERT_GT(payload.size(), 1000U);
    EXPECT_EQ(read(packed(binary, payload), limits),
              events{binary_message(noise)});
}

TEST(compressed_limits, refuse_a_payload_that_is_much_too_big_by_its_header)
{
    // 1,000, a fourth of it, and 1,024
    const message_limits small_frames{.max_frame_size = 1000};
    const std::string fits = frames::header(binary | compression::rsv1, 2274);
    const std::string over = frames::header(binary | compression::rsv1, 2275);

    EXPECT_EQ(read(fits, messages_of_1000), events{});
    EXPECT_EQ(read(over, messages_of_1000),
              events{failed(error::message_too_big)});
    EXPECT_EQ(read(fits, small_frames), events{});
    EXPECT_EQ(read(over, small_frames), events{failed(error::frame_too_big)});
    EXPECT_EQ(read(packed(frames::binary, "") + frames::header(more, 2275),
                   messages_of_1000),
              events{failed(error::message_too_big)});
}

TEST(compressed_limits, bound_a_message_of_nothing_but_empty_blocks)
{
    std::string wire = packed(frames::binary, "");
    std::string blocks;

    while (blocks.size() < 500) {
        blocks += std::string("\x00\x00\x00\xff\xff", 5);
    }
    for (int i = 0; i < 5; i++) {
        wire += frame(more, blocks);
    }

    EXPECT_EQ(read(wire, messages_of_1000),
              events{failed(error::message_too_big)});
}

TEST(compressed_limits, do_not_hold_for_what_is_not_compressed)
{
    EXPECT_EQ(read(frames::header(binary, 1001), messages_of_1000),
              events{failed(error::message_too_big)});
    EXPECT_EQ(
        read(packed(binary, compressed("x")) + frames::header(binary, 1001),
             messages_of_1000),
        (events{binary_message("x"), failed(error::message_too_big)}));
}

TEST(compressed_limits, stop_a_bomb_in_memory_of_the_limit)
{
    const std::string payload = bomb(300 * mebibyte);
    const message_limits limits{.max_message_size = mebibyte};
    lone_reader reader{limits};

    ASSERT_LT(payload.size(), 320000U);
    const std::string wire = packed(binary, payload);
    std::size_t largest = 0;
    std::size_t taken = 0;
    events found;

    for (; found.empty(); taken += 100) {
        ASSERT_LT(taken, wire.size());
        found = frames::read(reader, std::string_view(wire).substr(taken, 100));
        if (reader.assembled()) {
            largest = std::max(largest, reader.assembled().capacity());
        }
    }

    EXPECT_EQ(found, events{failed(error::message_too_big)});
    EXPECT_LE(largest, mebibyte);
    EXPECT_GT(largest, mebibyte / 4);
    EXPECT_LT(taken, 2000U); // a mebibyte is a 300th of the whole
}

TEST(compressed_limits, stop_a_bomb_that_comes_at_once)
{
    shared_buffer::clear_cache();
    const std::size_t before = shared_buffer::allocations();
    const message_limits limits{.max_message_size = mebibyte};
    lone_reader reader{limits};

    EXPECT_EQ(frames::read(reader, packed(text, bomb(8 * mebibyte))),
              events{failed(error::message_too_big)});
    EXPECT_FALSE(reader.assembled());
    EXPECT_LE(shared_buffer::allocations() - before, 7U); // capacity doubles
}

TEST(compressed_limits, follow_the_bytes_not_the_announcement)
{
    const message_limits limits;
    lone_reader reader{limits};
    const std::string payload = compressed(std::string(100, 'x'));

    frames::read(reader, frames::header(binary | compression::rsv1, 900000) +
                             frames::masked(payload));
    EXPECT_TRUE(reader.receive_buffer().empty());
    EXPECT_LE(reader.assembled().capacity(), 1024U);
}

TEST(compressed_limits, cost_an_idle_reader_two_pointers)
{
    EXPECT_LE(sizeof(message_reader), 96U);
}

TEST(compressed_limits, hold_the_text_that_is_kept_in_one_block)
{
    compression::sender peer;
    std::string wire;
    const std::string row(3000, 'x');

    for (int i = 0; i < 100; i++) {
        wire += packed(binary, peer.message(row));
    }

    shared_buffer::clear_cache();
    const std::size_t before = shared_buffer::allocations();
    const message_limits limits;
    takeover_reader reader{limits};
    EXPECT_EQ(frames::read(reader, wire).size(), 100U);
    // The message's block, and text blocks of 4, 8, 16 and 32 KiB
    EXPECT_LE(shared_buffer::allocations() - before, 7U);
}

TEST(compressed_limits, give_all_back_with_the_reader)
{
    const std::string wire = packed(frames::text, compressed("words"));

    // The sanitizer detects leaks
    for (int i = 0; i < 20; i++) {
        const message_limits limits;
        takeover_reader reader{limits};
        frames::read(reader, wire);
        takeover_reader other{std::move(reader)};
        frames::read(other, frame(fin | more, std::string(1, '\0')));
    }
    inflater::clear_cache();
}
