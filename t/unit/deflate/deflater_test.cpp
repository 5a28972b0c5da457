// Compressed messages of the server (RFC 7692 7.2.1), read by an inflater that
// is independent of zlib.
#include "protocol/deflate/deflater.hpp"

#include "deflate_builder.hpp"
#include "frame_builder.hpp"
#include "inflate_reference.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <random>
#include <span>
#include <string>
#include <string_view>

using namespace websocket::protocol;

namespace {

std::span<const std::byte> bytes_of(std::string_view text)
{
    return std::as_bytes(std::span(text));
}

// The payload of a frame that must be whole, final, of `kind`, with RSV1.
std::string payload_of(const shared_buffer &frame, opcode kind = opcode::text)
{
    if (!frame) {
        ADD_FAILURE() << "no frame";
        return {};
    }

    const std::string bytes = frames::as_string(frame.bytes());
    const unsigned second = static_cast<unsigned char>(bytes[1]);
    const std::size_t header = second < 126 ? 2 : second == 126 ? 4 : 10;
    std::string expected(header, '\0');

    write_header(reinterpret_cast<std::byte *>(expected.data()), kind,
                 bytes.size() - header, rsv1);
    EXPECT_EQ(bytes.substr(0, header), expected);
    return bytes.substr(header);
}

// Inflates a payload after appending the bytes that the sender removed.
reference::inflated inflated(const std::string &payload,
                             std::string_view before = {})
{
    EXPECT_FALSE(std::string_view(payload).ends_with(compression::tail));
    return reference::inflater{}.read(payload + std::string(compression::tail),
                                      before);
}

std::string table(std::size_t size)
{
    std::string text;

    for (unsigned i = 0; text.size() < size; i++) {
        text += "{\"id\": " + std::to_string(i) +
                ", \"price\": " + std::to_string(i * 7919 % 1009) +
                ", \"active\": true},\n";
    }

    return text.substr(0, size);
}

std::string noise(std::size_t size)
{
    std::mt19937 random{7};
    std::string bytes(size, '\0');
    std::generate(bytes.begin(), bytes.end(),
                  [&] { return static_cast<char>(random()); });
    return bytes;
}

} // namespace

TEST(deflater, makes_a_frame_that_holds_the_message)
{
    for (const int level : {1, 6, 9}) {
        for (unsigned window = 9; window <= 15; window++) {
            deflater compressor = deflater::create(level, window);
            ASSERT_TRUE(compressor);

            for (const std::size_t size :
                 {1U, 2U, 100U, 124U, 500U, 1000U, 16384U, 70000U}) {
                const std::string text = table(size);
                compressor.reset();
                const reference::inflated read = inflated(payload_of(
                    compressor.make_frame(opcode::text, bytes_of(text))));

                EXPECT_EQ(read.text, text) << level << ", " << window;
                EXPECT_LE(read.farthest, std::size_t{1} << window);
            }
        }
    }
}

TEST(deflater, makes_the_payload_of_the_rfc)
{
    deflater compressor = deflater::create(6, 15);

    EXPECT_EQ(
        payload_of(compressor.make_frame(opcode::text, bytes_of("Hello"))),
        std::string("\xf2\x48\xcd\xc9\xc9\x07\x00", 7));
    EXPECT_EQ(
        payload_of(compressor.make_frame(opcode::text, bytes_of("Hello"))),
        std::string("\xf2\x00\x11\x00\x00", 5));
}

TEST(deflater, makes_an_empty_message_of_one_byte)
{
    deflater compressor = deflater::create(1, 15);

    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(payload_of(compressor.make_frame(opcode::binary, {}),
                             opcode::binary),
                  std::string(1, '\0'));
    }
    compressor.make_frame(opcode::text, bytes_of("Hello"));
    EXPECT_EQ(payload_of(compressor.make_frame(opcode::text, {})),
              std::string(1, '\0'));
    EXPECT_EQ(
        payload_of(compressor.make_frame(opcode::text, bytes_of("Hello"))),
        std::string("\xf2\x00\x11\x00\x00", 5));
}

TEST(deflater, refers_to_messages_before_within_its_window)
{
    const std::string row = noise(100);

    for (unsigned window = 9; window <= 15; window++) {
        const std::size_t size = std::size_t{1} << window;

        // zlib does not use the last 262 bytes of its window
        for (const std::size_t distance : {size - 300, size, size + 300}) {
            deflater compressor = deflater::create(9, window);
            const std::string between(distance - row.size(), '-');
            std::string before;
            reference::inflated read;

            for (const std::string &text : {row, between, row}) {
                read = inflated(payload_of(compressor.make_frame(
                                               opcode::binary, bytes_of(text)),
                                           opcode::binary),
                                before);
                ASSERT_EQ(read.text, text) << window;
                before += text;
            }

            EXPECT_EQ(read.farthest, distance < size ? distance : 0);
        }
    }
}

TEST(deflater, refers_to_nothing_after_a_reset)
{
    deflater compressor = deflater::create(6, 12);
    const std::string text = table(300);
    const std::string first =
        payload_of(compressor.make_frame(opcode::text, bytes_of(text)));

    EXPECT_LT(
        payload_of(compressor.make_frame(opcode::text, bytes_of(text))).size(),
        first.size() / 2);
    compressor.reset();
    EXPECT_EQ(payload_of(compressor.make_frame(opcode::text, bytes_of(text))),
              first);
}

TEST(deflater, refers_to_messages_of_other_levels)
{
    deflater compressor = deflater::create(1, 15);
    const std::string text = table(3000);
    std::string before;

    for (const int level : {1, 9, 9, 6, 1, 3, 1}) {
        compressor.use_level(level);

        const std::string payload =
            payload_of(compressor.make_frame(opcode::text, bytes_of(text)));

        EXPECT_EQ(inflated(payload, before).text, text);
        EXPECT_LT(payload.size(), before.empty() ? 3000U : 300U);
        before += text;
    }
}

TEST(deflater, compresses_better_at_a_higher_level)
{
    deflater first = deflater::create(1, 15);
    deflater second = deflater::create(1, 15);
    const std::string text = table(60000);

    second.use_level(9);
    EXPECT_LT(
        payload_of(second.make_frame(opcode::text, bytes_of(text))).size(),
        payload_of(first.make_frame(opcode::text, bytes_of(text))).size());
}

TEST(deflater, takes_what_cannot_be_compressed)
{
    for (const unsigned window : {9U, 12U, 15U}) {
        for (const std::size_t size :
             {1U, 100U, 110U, 118U, 126U, 1000U, 4096U, 65500U, 300000U}) {
            deflater compressor = deflater::create(1, window);
            const std::string bytes = noise(size);
            const std::string payload = payload_of(
                compressor.make_frame(opcode::binary, bytes_of(bytes)),
                opcode::binary);

            EXPECT_EQ(inflated(payload).text, bytes);
            EXPECT_LE(payload.size(), size + size / 8 + 8);
        }
    }
}

TEST(deflater, makes_no_frame_over_the_size_given)
{
    const std::string text = table(5000);
    deflater compressor = deflater::create(6, 15);
    const std::size_t size =
        payload_of(compressor.make_frame(opcode::text, bytes_of(text))).size();

    compressor.reset();
    EXPECT_EQ(
        payload_of(compressor.make_frame(opcode::text, bytes_of(text), size))
            .size(),
        size);
    compressor.reset();
    EXPECT_FALSE(compressor.make_frame(opcode::text, bytes_of(text), size - 1));
    compressor.reset();
    EXPECT_FALSE(compressor.make_frame(opcode::text, {}, 0));
    EXPECT_TRUE(compressor.make_frame(opcode::text, {}, 1));
}

TEST(deflater, can_be_moved)
{
    deflater first = deflater::create(6, 15);
    first.make_frame(opcode::text, bytes_of("Hello"));
    deflater second = std::move(first);

    EXPECT_EQ(payload_of(second.make_frame(opcode::text, bytes_of("Hello"))),
              std::string("\xf2\x00\x11\x00\x00", 5));
    second = deflater::create(6, 9);
    EXPECT_EQ(payload_of(second.make_frame(opcode::text, bytes_of("Hello"))),
              std::string("\xf2\x48\xcd\xc9\xc9\x07\x00", 7));
}

TEST(deflater_pool, takes_the_smallest_window_that_sees_all_of_a_message)
{
    EXPECT_EQ(deflater_pool::window_for(0, 15), 9U);
    EXPECT_EQ(deflater_pool::window_for(250, 15), 9U);
    EXPECT_EQ(deflater_pool::window_for(251, 15), 10U);
    EXPECT_EQ(deflater_pool::window_for(1000, 15), 11U);
    EXPECT_EQ(deflater_pool::window_for(1000, 10), 10U);
    EXPECT_EQ(deflater_pool::window_for(32506, 15), 15U);
    EXPECT_EQ(deflater_pool::window_for(10000000, 15), 15U);
    EXPECT_EQ(deflater_pool::window_for(10000000, 9), 9U);
}

TEST(deflater_pool, makes_each_message_stand_by_itself)
{
    deflater_pool pool;
    const std::string text = table(900);

    for (const int level : {1, 6, 9, 1}) {
        for (const unsigned agreed : {15U, 9U, 15U}) {
            const unsigned window =
                deflater_pool::window_for(text.size(), agreed);
            const std::string payload = payload_of(
                pool.make_frame(opcode::text, bytes_of(text), level, window));

            EXPECT_EQ(inflated(payload).text, text);
            EXPECT_LE(inflated(payload).farthest, std::size_t{1} << window);
        }
    }

    EXPECT_EQ(pool.compressions(), 12U);
    pool.clear();
    EXPECT_TRUE(pool.make_frame(opcode::text, bytes_of(text), 1, 11));
}

TEST(deflater_pool, makes_no_frame_of_what_does_not_shrink)
{
    deflater_pool pool;
    const std::string repeated(40, 'x');

    for (const std::string &bytes :
         {std::string(), std::string("x"), noise(100), noise(30000)}) {
        EXPECT_FALSE(pool.make_frame(opcode::binary, bytes_of(bytes), 6, 9));
        // The next message is not affected
        EXPECT_EQ(inflated(payload_of(pool.make_frame(
                               opcode::text, bytes_of(repeated), 6, 9)))
                      .text,
                  repeated);
    }
}

TEST(deflater_pool, gives_up_a_large_message_that_hardly_shrinks)
{
    deflater_pool pool;
    const std::string random = noise(700000);
    const std::string text = table(600000);

    // It would shrink, but only near its end
    EXPECT_FALSE(pool.make_frame(
        opcode::binary, bytes_of(random + std::string(500000, 'x')), 1, 15));

    for (const std::string &message : {text + random, text + text}) {
        const std::string payload = payload_of(
            pool.make_frame(opcode::binary, bytes_of(message), 1, 15),
            opcode::binary);

        EXPECT_LT(payload.size(), message.size() * 3 / 4);
        EXPECT_EQ(inflated(payload).text, message);
    }
}
