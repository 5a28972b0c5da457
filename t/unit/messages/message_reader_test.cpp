// Messages from frames (RFC 6455 5.4 to 5.6, 7.4, 8.1): each rule with a valid
// and an invalid input, cut in all ways.
#include "protocol/messages/message_reader.hpp"

#include "protocol/frames/close_code.hpp"

#include "frame_builder.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

using namespace websocket::protocol;
using frames::binary_message;
using frames::bytes_until_failure;
using frames::close_frame;
using frames::closed;
using frames::control;
using frames::events;
using frames::failed;
using frames::fin;
using frames::frame;
using frames::header;
using frames::length_form;
using frames::read_all_ways;
using frames::text_message;

namespace {

constexpr unsigned text = fin | frames::text;
constexpr unsigned binary = fin | frames::binary;
constexpr unsigned ping = fin | frames::ping;
constexpr unsigned pong = fin | frames::pong;
constexpr unsigned first_text = frames::text;
constexpr unsigned first_binary = frames::binary;
constexpr unsigned more = frames::continuation;
constexpr unsigned last = fin | frames::continuation;

std::string pattern(std::size_t size)
{
    std::string bytes(size, '\0');

    for (std::size_t i = 0; i < size; i++) {
        bytes[i] = static_cast<char>('a' + i % 23);
    }

    return bytes;
}

// The reader fails at the last byte of `start`, independently of later bytes.
void expect_failure(const std::string &start, error reason,
                    const events &before = {})
{
    events expected = before;
    expected.push_back(failed(reason));

    EXPECT_EQ(read_all_ways(start), expected);
    EXPECT_EQ(read_all_ways(start + frame(text, "ignored")), expected);
    EXPECT_EQ(bytes_until_failure(start + pattern(20)), start.size())
        << describe(reason);
}

} // namespace

TEST(message_reader, reports_text_and_binary_messages)
{
    EXPECT_EQ(read_all_ways(frame(text, "Hello")),
              events{text_message("Hello")});
    EXPECT_EQ(read_all_ways(frame(binary, std::string("\0\xff\x80", 3))),
              events{binary_message({"\0\xff\x80", 3})});
}

TEST(message_reader, reports_empty_messages)
{
    EXPECT_EQ(read_all_ways(frame(text) + frame(binary)),
              (events{text_message(""), binary_message("")}));
}

TEST(message_reader, reports_nothing_for_no_input)
{
    EXPECT_EQ(read_all_ways(""), events{});
    EXPECT_EQ(read_all_ways(frame(text, "Hello").substr(0, 8)), events{});
}

TEST(message_reader, reads_payloads_in_each_form_of_the_length)
{
    for (const std::size_t size :
         {125U, 126U, 127U, 4095U, 4096U, 65535U, 65536U, 70001U}) {
        EXPECT_EQ(read_all_ways(frame(text, pattern(size))),
                  events{text_message(pattern(size))});
    }
}

TEST(message_reader, reports_messages_in_their_order)
{
    std::string wire;
    events expected;

    for (std::size_t i = 0; i < 50; i++) {
        wire += frame(text, pattern(i)) + frame(binary, pattern(200 - i));
        expected.push_back(text_message(pattern(i)));
        expected.push_back(binary_message(pattern(200 - i)));
    }

    EXPECT_EQ(read_all_ways(wire), expected);
}

TEST(message_reader, joins_fragments)
{
    EXPECT_EQ(read_all_ways(frame(first_text, "Hel") + frame(last, "lo")),
              events{text_message("Hello")});
    EXPECT_EQ(read_all_ways(frame(first_binary, "a") + frame(more, "b") +
                            frame(more, "c") + frame(last, "d") +
                            frame(text, "next")),
              (events{binary_message("abcd"), text_message("next")}));
}

TEST(message_reader, joins_empty_fragments)
{
    EXPECT_EQ(read_all_ways(frame(first_text) + frame(more) + frame(last)),
              events{text_message("")});
    EXPECT_EQ(read_all_ways(frame(first_text) + frame(more, "x") + frame(last)),
              events{text_message("x")});
    EXPECT_EQ(read_all_ways(frame(first_text) + frame(last, "x")),
              events{text_message("x")});
}

TEST(message_reader, joins_large_fragments)
{
    EXPECT_EQ(
        read_all_ways(frame(first_binary, pattern(6000)) +
                      frame(more, pattern(70000)) + frame(last, pattern(5000))),
        events{binary_message(pattern(6000) + pattern(70000) + pattern(5000))});
}

TEST(message_reader, fails_at_a_continuation_without_a_message)
{
    expect_failure(header(last, 3), error::continuation_unexpected);
    expect_failure(header(more, 3), error::continuation_unexpected);
    expect_failure(frame(first_text, "a") + frame(last, "b") + header(last, 0),
                   error::continuation_unexpected, {text_message("ab")});
}

TEST(message_reader, fails_at_a_new_message_inside_a_fragmented_one)
{
    for (const unsigned first : {text, binary, first_text, first_binary}) {
        expect_failure(frame(first_text, "a") + header(first, 3),
                       error::continuation_expected);
        expect_failure(frame(first_binary) + header(first, 0),
                       error::continuation_expected);
    }
}

TEST(message_reader, reports_pings_and_pongs)
{
    const std::string longest = pattern(125);

    EXPECT_EQ(
        read_all_ways(frame(ping) + frame(ping, "one") + frame(ping, longest)),
        (events{control(event_type::ping), control(event_type::ping, "one"),
                control(event_type::ping, longest)}));
    EXPECT_EQ(read_all_ways(frame(pong) + frame(pong, longest)),
              (events{control(event_type::pong),
                      control(event_type::pong, longest)}));
}

TEST(message_reader, reports_control_frames_between_fragments)
{
    EXPECT_EQ(
        read_all_ways(frame(first_text, "a") + frame(ping, "1") +
                      frame(more, "b") + frame(pong, "\xff") + frame(ping) +
                      frame(last, "c") + frame(ping, "3")),
        (events{control(event_type::ping, "1"),
                control(event_type::pong, "\xff"), control(event_type::ping),
                text_message("abc"), control(event_type::ping, "3")}));
}

TEST(message_reader, reports_a_close_between_fragments)
{
    EXPECT_EQ(read_all_ways(frame(first_text, "a") + close_frame(1001)),
              events{closed(1001)});
}

TEST(message_reader, fails_at_a_broken_control_frame)
{
    for (const unsigned code : {frames::close, frames::ping, frames::pong}) {
        expect_failure(frame(first_text, "a") + std::string(1, char(code)),
                       error::control_fragmented);
        expect_failure(header(fin | code, 126).substr(0, 2),
                       error::control_too_long);
    }
}

TEST(message_reader, fails_at_a_broken_header)
{
    const events before{text_message("before")};
    const std::string start = frame(text, "before");

    expect_failure(start + std::string(1, char(fin | 0x3)),
                   error::reserved_opcode, before);
    expect_failure(start + std::string(1, char(fin | 0xB)),
                   error::reserved_opcode, before);

    for (const unsigned bit : {0x40U, 0x20U, 0x10U}) {
        expect_failure(start + std::string(1, char(text | bit)),
                       error::reserved_bits, before);
    }

    expect_failure(start + header(text, 0, length_form::short_7, false),
                   error::not_masked, before);
    expect_failure(start + header(text, 9, length_form::long_16).substr(0, 4),
                   error::length_not_minimal, before);
    expect_failure(start + header(text, 9, length_form::long_64).substr(0, 8),
                   error::length_not_minimal, before);
    expect_failure(start + header(text, ~0ULL).substr(0, 3),
                   error::length_top_bit, before);
}

TEST(message_reader, reports_a_close_with_code_and_reason)
{
    EXPECT_EQ(read_all_ways(close_frame(1000)), events{closed(1000)});
    EXPECT_EQ(read_all_ways(close_frame(4999, "b\xc3\xbc")),
              events{closed(4999, "b\xc3\xbc")});
    EXPECT_EQ(read_all_ways(close_frame(1001, pattern(123))),
              events{closed(1001, pattern(123))});
}

TEST(message_reader, reports_an_empty_close_as_without_code)
{
    EXPECT_EQ(read_all_ways(frame(fin | frames::close)),
              events{closed(close_code::none_received)});
}

TEST(message_reader, fails_at_a_close_of_one_byte)
{
    expect_failure(frame(fin | frames::close, "\x03"),
                   error::close_payload_truncated);
}

TEST(message_reader, takes_exactly_the_codes_valid_on_the_wire)
{
    for (const unsigned code : {1000U, 1003U, 1007U, 1014U, 3000U, 4999U}) {
        EXPECT_EQ(read_all_ways(close_frame(code)),
                  events{closed(static_cast<std::uint16_t>(code))});
    }

    for (const unsigned code :
         {0U, 999U, 1004U, 1005U, 1006U, 1015U, 1016U, 2999U, 5000U, 65535U}) {
        expect_failure(close_frame(code), error::close_code_invalid);
    }
}

TEST(message_reader, fails_at_a_close_reason_that_is_not_utf8)
{
    expect_failure(close_frame(1000, "a\xff"), error::close_reason_not_utf8);
    expect_failure(close_frame(1000, "a\xc3"), error::close_reason_not_utf8);
    expect_failure(close_frame(1000, "\xed\xa0\x80"),
                   error::close_reason_not_utf8);
}

TEST(message_reader, takes_utf8_cut_between_fragments)
{
    // U+00E9, U+20AC and U+1F600, cut inside each
    EXPECT_EQ(read_all_ways(frame(first_text, "\xc3") +
                            frame(more, "\xa9\xe2\x82") + frame(ping) +
                            frame(more) + frame(more, "\xac\xf0") +
                            frame(more, "\x9f") + frame(last, "\x98\x80")),
              (events{control(event_type::ping),
                      text_message("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")}));
}

TEST(message_reader, fails_at_the_first_impossible_byte_of_a_frame)
{
    for (const std::string_view bad :
         {"\x80", "\xc0", "\xc1", "\xf5", "\xff", "\xc3(", "\xe0\x9f",
          "\xed\xa0", "\xf0\x8f", "\xf4\x90", "\xe2\x82(", "\xf0\x9f\x98("}) {
        for (const std::size_t before : {0U, 1U, 40U, 100U}) {
            const std::string start = pattern(before) + std::string(bad);

            // The frame claims 200 more bytes, which do not arrive
            expect_failure(header(text, start.size() + 200) +
                               frames::masked(start),
                           error::invalid_utf8);
        }
    }
}

TEST(message_reader, fails_at_an_impossible_byte_of_a_later_fragment)
{
    expect_failure(frame(first_text, "\xe2") + frame(ping) + header(more, 90) +
                       frames::masked("\x82("),
                   error::invalid_utf8, {control(event_type::ping)});
}

TEST(message_reader, fails_at_a_text_that_ends_inside_a_character)
{
    expect_failure(frame(text, "abc\xe2\x82"), error::invalid_utf8);
    expect_failure(frame(first_text, "\xf0\x9f") + header(last, 0),
                   error::invalid_utf8);
}

// Long texts are unmasked and checked in parts, which may begin anywhere.
TEST(message_reader, takes_characters_anywhere_in_a_long_text)
{
    const std::string character = "\xf0\x9f\x98\x80";

    for (const std::size_t size : {300U, 20000U, 70000U}) {
        for (const std::size_t part : {16384U, 32768U, 65536U}) {
            for (std::size_t at = part - 4; at <= part && at + 4 < size; at++) {
                std::string message = pattern(size);
                message.replace(at, 4, character);

                EXPECT_EQ(frames::read_two_ways(frame(text, message)),
                          events{text_message(message)});
            }
        }
    }
}

TEST(message_reader, fails_at_a_cut_character_anywhere_in_a_long_text)
{
    for (const std::size_t size : {200U, 4000U, 20000U, 65535U, 70000U}) {
        for (const std::size_t at :
             {std::size_t{0}, std::size_t{40}, std::size_t{16383},
              std::size_t{16384}, std::size_t{32767}, size - 1}) {
            if (at < size) {
                std::string message = pattern(size);
                message[at] = '\xe2';

                EXPECT_EQ(frames::read_two_ways(frame(text, message)),
                          events{failed(error::invalid_utf8)})
                    << size << ' ' << at;
            }
        }
    }
}

TEST(message_reader, checks_each_text_separately)
{
    EXPECT_EQ(read_all_ways(frame(text, "\xc3\xa9") + frame(text, "a")),
              (events{text_message("\xc3\xa9"), text_message("a")}));
    expect_failure(frame(text, "\xc3\xa9") + header(text, 9) +
                       frames::masked("\xa9"),
                   error::invalid_utf8, {text_message("\xc3\xa9")});
}

TEST(message_reader, does_not_check_binary_messages_and_pings)
{
    EXPECT_EQ(read_all_ways(frame(first_binary, "\xff\xc3") +
                            frame(ping, "\xed\xa0\x80") + frame(last, "\xff")),
              (events{control(event_type::ping, "\xed\xa0\x80"),
                      binary_message("\xff\xc3\xff")}));
}

TEST(message_reader, drops_input_after_a_failure)
{
    const message_limits limits;
    message_reader reader{limits};

    EXPECT_EQ(frames::read(reader, frame(0x83)),
              events{failed(error::reserved_opcode)});
    EXPECT_EQ(frames::read(reader, frame(text, "Hello")), events{});
    EXPECT_TRUE(reader.receive_buffer().empty());
}

TEST(message_reader, knows_whether_it_is_inside_a_message)
{
    const message_limits limits;
    const std::string wire =
        frame(first_text, "a") + frame(ping, "b") + frame(last, "c");
    message_reader reader{limits};
    EXPECT_FALSE(reader.inside_message());

    for (std::size_t i = 0; i < wire.size(); i++) {
        frames::read(reader, wire.substr(i, 1));
        EXPECT_EQ(reader.inside_message(), i + 1 < wire.size()) << i;
    }

    frames::read(reader, frame(ping).substr(0, 1));
    EXPECT_TRUE(reader.inside_message());
}
