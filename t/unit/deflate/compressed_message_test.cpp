// Compressed messages of a client (RFC 7692 6 and 7.2.2): whole and in
// fragments, with and without context takeover, with the bytes cut in all ways.
#include "protocol/messages/message_reader.hpp"

#include "deflate_builder.hpp"
#include "deflate_vectors.hpp"
#include "frame_builder.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <string_view>

using namespace websocket::protocol;
using compression::compressed;
using compression::ending;
using compression::lone_reader;
using compression::sender;
using compression::takeover_reader;
using frames::binary_message;
using frames::control;
using frames::events;
using frames::failed;
using frames::fin;
using frames::text_message;

namespace {

constexpr unsigned text = fin | frames::text;
constexpr unsigned binary = fin | frames::binary;
constexpr unsigned ping = fin | frames::ping;
constexpr unsigned first_text = frames::text;
constexpr unsigned more = frames::continuation;
constexpr unsigned last = fin | frames::continuation;

// The payloads of RFC 7692 7.2.3.
constexpr std::string_view hello{"\xf2\x48\xcd\xc9\xc9\x07\x00", 7};
constexpr std::string_view hello_again{"\xf2\x00\x11\x00\x00", 5};
constexpr std::string_view hello_stored{
    "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11};
constexpr std::string_view hello_final{"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8};
constexpr std::string_view hello_in_two{
    "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13};
constexpr std::string_view nothing{"\x00", 1};

std::string packed(unsigned first, std::string_view payload)
{
    return compression::frame(first, payload);
}

template <class reader = lone_reader>
events read(const std::string &wire, const message_limits &limits = {})
{
    return frames::read_all_ways<reader>(wire, limits);
}

std::string noise(std::size_t size)
{
    std::mt19937 random{42};
    std::string bytes(size, '\0');

    for (char &byte : bytes) {
        byte = static_cast<char>(random());
    }

    return bytes;
}

} // namespace

TEST(compressed_message, is_inflated_as_in_the_rfc)
{
    for (const std::string_view payload :
         {hello, hello_stored, hello_final, hello_in_two}) {
        EXPECT_EQ(read(packed(text, payload)), events{text_message("Hello")});
    }

    EXPECT_EQ(
        read<takeover_reader>(packed(text, hello) + packed(text, hello_again)),
        (events{text_message("Hello"), text_message("Hello")}));
}

TEST(compressed_message, may_be_empty)
{
    EXPECT_EQ(read(packed(text, nothing) + packed(binary, nothing)),
              (events{text_message(""), binary_message("")}));
    EXPECT_EQ(read(packed(first_text, "") + frames::frame(more) +
                   frames::frame(last, nothing)),
              events{text_message("")});
}

TEST(compressed_message, may_stand_beside_others)
{
    EXPECT_EQ(read(frames::frame(text, "plain") + packed(text, hello) +
                   frames::frame(binary, "plain") + packed(binary, hello)),
              (events{text_message("plain"), text_message("Hello"),
                      binary_message("plain"), binary_message("Hello")}));
}

TEST(compressed_message, may_be_fragmented_anywhere)
{
    const std::string plain = "{\"users\": [\"anna\", \"anne\", \"annette\"]}";
    const std::string payload = compressed(plain);

    for (std::size_t cut = 0; cut <= payload.size(); cut++) {
        EXPECT_EQ(read(packed(first_text, payload.substr(0, cut)) +
                       frames::frame(ping, "one") +
                       frames::frame(last, payload.substr(cut)) +
                       packed(text, hello)),
                  (events{control(event_type::ping, "one"), text_message(plain),
                          text_message("Hello")}))
            << cut;
    }
}

TEST(compressed_message, may_come_in_a_frame_for_each_byte)
{
    const std::string plain(5000, 'x');
    const std::string payload = compressed(plain + "end");
    std::string wire = packed(first_text, "");

    for (const char byte : payload) {
        wire += frames::frame(more, {&byte, 1}) + frames::frame(ping);
    }

    events expected(payload.size(), control(event_type::ping));
    expected.push_back(text_message(plain + "end"));
    EXPECT_EQ(read(wire + frames::frame(last)), expected);
}

TEST(compressed_message, may_be_of_any_size)
{
    for (const std::size_t size :
         {1U, 63U, 64U, 65U, 1023U, 1024U, 1025U, 16384U, 65535U, 300000U}) {
        const std::string letters(size, 'x');
        const std::string bytes = noise(size);

        EXPECT_EQ(read(packed(binary, compressed(letters))),
                  events{binary_message(letters)});
        EXPECT_EQ(read(packed(binary, compressed(bytes))),
                  events{binary_message(bytes)});
    }
}

TEST(compressed_message, may_end_with_final_blocks)
{
    const std::string plain = "over and over and over";
    const std::string twice = compressed(plain, ending::bare) +
                              compressed(plain, ending::final_block);

    for (const ending how : {ending::bare, ending::final_block}) {
        EXPECT_EQ(
            read(packed(text, compressed(plain, how)) + packed(text, hello)),
            (events{text_message(plain), text_message("Hello")}));
    }
    EXPECT_EQ(read(packed(text, twice)), events{text_message(plain + plain)});
    EXPECT_EQ(read(packed(text, compressed("", ending::final_block))),
              events{text_message("")});
    EXPECT_EQ(read(packed(text, compressed(plain, ending::bare) +
                                    std::string(hello))),
              events{text_message(plain + "Hello")});
}

TEST(compressed_message, may_refer_to_what_was_before_a_final_block)
{
    EXPECT_EQ(read<takeover_reader>(packed(text, hello_final) +
                                    packed(text, hello_again)),
              (events{text_message("Hello"), text_message("Hello")}));
    EXPECT_EQ(read(packed(text, std::string(hello_final.substr(0, 7)) +
                                    std::string(hello_again))),
              events{text_message("HelloHello")});
}

TEST(compressed_message, may_refer_to_those_before_only_with_takeover)
{
    EXPECT_EQ(
        read(packed(text, hello) + packed(text, hello_again)),
        (events{text_message("Hello"), failed(error::invalid_compression)}));
}

TEST(compressed_message, may_refer_to_as_much_as_was_agreed_on)
{
    // Two copies of a row of 505 bytes are nearly 512 bytes apart
    const std::string row = noise(505);
    sender with_9{9, 9, 8};
    sender with_15{9, 15, 8};
    std::string near;
    std::string far;
    events expected;

    for (int i = 0; i < 70; i++) {
        near += packed(binary, with_9.message(row));
        far += packed(binary, with_15.message(noise(1500)));
        expected.push_back(binary_message(row));
    }

    EXPECT_EQ((read<compression::reader<true, 9>>(near)), expected);
    EXPECT_EQ((read<compression::reader<true, 8>>(
                  packed(binary, with_9.message("a")) +
                  packed(binary, with_9.message("a")))),
              (events{binary_message("a"), binary_message("a")}));
    // Within 2 KiB, but not within 512 bytes
    const events seen = read<compression::reader<true, 9>>(far);
    ASSERT_EQ(seen.size(), 2U);
    EXPECT_EQ(seen[1], failed(error::invalid_compression));
    EXPECT_EQ((read<compression::reader<true, 11>>(far).size()), 70U);
}

TEST(compressed_message, may_refer_to_many_small_ones_before)
{
    for (const int window : {9, 12}) {
        sender peer{9, window, 8};
        std::string wire;
        events expected;

        for (int i = 0; i < 80; i++) {
            const std::string row = "{\"row\": " + std::to_string(i) +
                                    ", \"square\": " + std::to_string(i * i) +
                                    "}" + noise(100).substr(i % 50, 40);
            wire += packed(binary, peer.message(row));
            expected.push_back(binary_message(row));
        }

        EXPECT_EQ(window == 9 ? (read<compression::reader<true, 9>>(wire))
                              : (read<compression::reader<true, 12>>(wire)),
                  expected);
    }
}

TEST(compressed_message, may_refer_to_the_end_of_a_large_one_before)
{
    const std::string large = noise(3000);
    const std::string end = large.substr(2850);
    sender peer{9, 9, 8};
    const std::string first = packed(binary, peer.message(large));
    const std::string second = peer.message(end);

    ASSERT_LT(second.size(), 50U);
    EXPECT_EQ(
        (read<compression::reader<true, 9>>(first + packed(binary, second))),
        (events{binary_message(large), binary_message(end)}));
}

TEST(compressed_message, keeps_its_context_over_others)
{
    EXPECT_EQ(
        read<takeover_reader>(packed(text, hello) +
                              frames::frame(text, "plain") +
                              packed(text, nothing) + frames::frame(ping) +
                              packed(text, hello_again)),
        (events{text_message("Hello"), text_message("plain"), text_message(""),
                control(event_type::ping), text_message("Hello")}));
}

TEST(compressed_message, of_python_is_inflated)
{
    for (const deflate_vectors::stream &stream : deflate_vectors::streams) {
        std::string wire;
        events expected;

        for (const deflate_vectors::message &message : stream.messages) {
            wire += packed(binary, message.payload);
            expected.push_back(binary_message(message.plain()));
        }

        EXPECT_EQ(stream.takeover ? read<takeover_reader>(wire)
                                  : read<lone_reader>(wire),
                  expected)
            << stream.name;
    }
}

TEST(compressed_message, is_checked_as_text_when_inflated)
{
    const std::string accents = "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";

    EXPECT_EQ(read(packed(text, compressed(accents))),
              events{text_message(accents)});
    EXPECT_EQ(read(packed(binary, compressed("\xff"))),
              events{binary_message("\xff")});
    for (const std::string bad : {"\xff", "a\xc3(", "\xed\xa0\x80", "ab\xc3"}) {
        EXPECT_EQ(read(packed(text, compressed(bad))),
                  events{failed(error::invalid_utf8)});
    }
}

TEST(compressed_message, that_is_not_utf8_fails_before_its_end)
{
    sender peer;
    const std::string start = peer.part("good\xff", Z_SYNC_FLUSH);
    const std::string rest = peer.message(std::string(200, 'x'));
    const message_limits limits;
    lone_reader reader{limits};

    const std::string wire = packed(text, start + rest);
    EXPECT_EQ(frames::read(reader, std::string_view(wire).substr(
                                       0, wire.size() - rest.size())),
              events{failed(error::invalid_utf8)});
}

TEST(compressed_message, that_is_not_utf8_fails_before_the_next_frame)
{
    sender peer;
    const std::string start =
        peer.part(std::string(5000, 'x') + "\xff", Z_SYNC_FLUSH);

    EXPECT_EQ(read(packed(first_text, start) + frames::frame(ping)),
              events{failed(error::invalid_utf8)});
}

TEST(compressed_message, is_marked_only_where_it_begins)
{
    const events refused{failed(error::reserved_bits)};

    // Not negotiated
    EXPECT_EQ(frames::read_all_ways(packed(text, hello)), refused);
    for (const unsigned first :
         {ping, fin | frames::pong, fin | frames::close, last, more}) {
        EXPECT_EQ(read(packed(first, "")), refused);
        EXPECT_EQ(read(packed(first_text, "") + packed(first, "")), refused);
    }
    for (const unsigned bit : {0x20U, 0x10U}) {
        EXPECT_EQ(read(packed(text | bit, hello)), refused);
    }
}

TEST(compressed_message, that_is_not_deflate_fails)
{
    for (const std::string_view bad :
         {std::string_view("\x06"), std::string_view("\xff\xff"),
          std::string_view("\x00\x05\x00\xfb\xff", 5),
          std::string_view("\xf2\x00\x11\x00\x00", 5)}) {
        EXPECT_EQ(read(packed(binary, bad)),
                  events{failed(error::invalid_compression)});
    }
    EXPECT_EQ(read(packed(first_text, "") + frames::frame(ping) +
                   frames::frame(more, "\x06")),
              (events{control(event_type::ping),
                      failed(error::invalid_compression)}));
}

TEST(compressed_message, that_ends_inside_a_block_fails)
{
    const std::string whole = compressed("some words, and some more words");

    for (std::size_t size = 0; size < whole.size(); size++) {
        EXPECT_EQ(read(packed(binary, whole.substr(0, size))),
                  events{failed(error::invalid_compression)})
            << size;
    }
    // The bytes that the sender must remove are still there, and form another
    // block.
    EXPECT_EQ(read(packed(binary,
                          std::string(hello) + std::string(compression::tail))),
              events{failed(error::invalid_compression)});
}

TEST(compressed_message, gets_the_removed_bytes_back_inside_a_block)
{
    // A stored block whose four bytes are missing
    EXPECT_EQ(read(packed(binary, {"\x00\x04\x00\xfb\xff", 5})),
              events{binary_message({"\x00\x00\xff\xff", 4})});
}
