// Frame headers: each rule of RFC 6455 5.2 about one header. A fault is
// reported at the first byte that shows it.
#include "protocol/frames/frame.hpp"

#include "frame_builder.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

using namespace websocket::protocol;
using frames::fin;
using frames::header;
using frames::length_form;

namespace {

constexpr std::size_t never = 0;

struct parsed {
    header_result result;
    frame_header header;
    std::size_t decided_after; // bytes until size or error was known
};

// Parses each prefix of `bytes`. Once it is known, a result must not change.
parsed parse(std::string_view bytes, std::uint8_t allowed = 0)
{
    parsed found{{0, error::none}, {}, never};

    for (std::size_t size = 0; size <= bytes.size(); size++) {
        frames::received start{bytes.substr(0, size)};
        frame_header header{};
        const header_result result =
            parse_header(start.input(), allowed, header);

        if (found.decided_after == never) {
            const bool decided =
                result.size != 0 || result.reason != error::none;
            found = {result, header, decided ? size : never};
        }

        EXPECT_EQ(result.size, found.result.size) << size << " bytes";
        EXPECT_EQ(result.reason, found.result.reason) << size << " bytes";
    }

    return found;
}

void expect_refused(std::string_view bytes, error reason, std::size_t after,
                    std::uint8_t allowed = 0)
{
    const parsed found = parse(bytes, allowed);

    EXPECT_EQ(found.result.size, 0U);
    EXPECT_EQ(describe(found.result.reason), describe(reason));
    EXPECT_EQ(found.decided_after, after);
}

void expect_length(std::string_view bytes, std::uint64_t length)
{
    const parsed found = parse(bytes);

    EXPECT_EQ(found.result.size, bytes.size());
    EXPECT_EQ(describe(found.result.reason), "");
    EXPECT_EQ(found.header.payload_length, length);
    EXPECT_EQ(found.decided_after, bytes.size());
}

} // namespace

TEST(frame_header, of_the_rfc_example_is_read)
{
    // RFC 6455 5.7: a single-frame masked text message, "Hello"
    const parsed found = parse("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");

    EXPECT_EQ(found.result.size, 6U);
    EXPECT_EQ(found.header.code, opcode::text);
    EXPECT_EQ(found.header.payload_length, 5U);
    EXPECT_TRUE(found.header.fin);
    EXPECT_EQ(found.header.reserved_bits, 0);
    EXPECT_EQ(frames::as_string(found.header.key), frames::key);
}

TEST(frame_header, reads_each_opcode_and_fin)
{
    for (const unsigned code : {0x0U, 0x1U, 0x2U, 0x8U, 0x9U, 0xAU}) {
        const parsed found = parse(header(fin | code, 1));

        EXPECT_EQ(found.result.size, 6U);
        EXPECT_EQ(static_cast<unsigned>(found.header.code), code);
        EXPECT_TRUE(found.header.fin);
    }

    for (const unsigned code : {0x0U, 0x1U, 0x2U}) {
        EXPECT_FALSE(parse(header(code, 1)).header.fin);
    }
}

TEST(frame_header, with_reserved_opcode_is_refused_after_1_byte)
{
    for (const unsigned code :
         {0x3U, 0x4U, 0x5U, 0x6U, 0x7U, 0xBU, 0xCU, 0xDU, 0xEU, 0xFU}) {
        expect_refused(header(fin | code, 1), error::reserved_opcode, 1);
        expect_refused(header(code, 1), error::reserved_opcode, 1);
    }
}

TEST(frame_header, with_reserved_bit_is_refused_after_1_byte)
{
    for (unsigned bits = rsv3; bits <= (rsv1 | rsv2 | rsv3); bits += rsv3) {
        for (const unsigned code : {0x0U, 0x1U, 0x2U, 0x8U, 0x9U, 0xAU}) {
            expect_refused(header(fin | bits | code, 1), error::reserved_bits,
                           1);
        }
    }
}

TEST(frame_header, with_negotiated_bit_is_accepted_where_messages_begin)
{
    for (const unsigned code : {frames::text, frames::binary}) {
        for (const unsigned first : {code, fin | code}) {
            const parsed found = parse(header(rsv1 | first, 1), rsv1);

            EXPECT_EQ(found.result.size, 6U);
            EXPECT_EQ(found.header.reserved_bits, rsv1);
            EXPECT_EQ(parse(header(first, 1), rsv1).header.reserved_bits, 0);
        }
    }
}

TEST(frame_header, with_other_bit_than_the_negotiated_is_refused)
{
    for (const int bits : {+rsv2, +rsv3, rsv1 | rsv2, rsv1 | rsv3}) {
        expect_refused(header(fin | unsigned(bits) | frames::text, 1),
                       error::reserved_bits, 1, rsv1);
    }
}

TEST(frame_header, of_continuation_or_control_takes_no_negotiated_bit)
{
    // Only the first frame of a data message may have the bit (RFC 7692 6.1)
    for (const unsigned code : {0x0U, 0x8U, 0x9U, 0xAU}) {
        expect_refused(header(fin | rsv1 | code, 1), error::reserved_bits, 1,
                       rsv1);
    }
    expect_refused(header(rsv1, 1), error::reserved_bits, 1, rsv1);
}

TEST(frame_header, of_fragmented_control_is_refused_after_1_byte)
{
    for (const unsigned code : {0x8U, 0x9U, 0xAU}) {
        expect_refused(header(code, 1), error::control_fragmented, 1);
    }
}

TEST(frame_header, of_control_takes_125_bytes)
{
    for (const unsigned code : {0x8U, 0x9U, 0xAU}) {
        expect_length(header(fin | code, 0), 0);
        expect_length(header(fin | code, 125), 125);
    }
}

TEST(frame_header, of_control_beyond_125_bytes_is_refused_after_2)
{
    for (const unsigned code : {0x8U, 0x9U, 0xAU}) {
        for (const std::uint64_t length : {126, 65535, 65536}) {
            expect_refused(header(fin | code, length), error::control_too_long,
                           2);
        }
    }
}

TEST(frame_header, without_mask_is_refused_after_2_bytes)
{
    for (const unsigned code : {0x0U, 0x1U, 0x2U, 0x8U, 0x9U, 0xAU}) {
        expect_refused(header(fin | code, 5, length_form::shortest, false),
                       error::not_masked, 2);
    }
    expect_refused(
        header(fin | frames::binary, 70000, length_form::shortest, false),
        error::not_masked, 2);
}

TEST(frame_header, reads_lengths_in_their_shortest_form)
{
    for (const std::uint64_t length :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{125},
          std::uint64_t{126}, std::uint64_t{127}, std::uint64_t{255},
          std::uint64_t{256}, std::uint64_t{65535}, std::uint64_t{65536},
          std::uint64_t{1} << 24, std::uint64_t{1} << 32,
          (std::uint64_t{1} << 63) - 1}) {
        expect_length(header(fin | frames::binary, length), length);
    }
}

TEST(frame_header, with_16_bits_for_a_short_length_is_refused_after_4_bytes)
{
    for (const std::uint64_t length : {0, 1, 125}) {
        expect_refused(header(fin | frames::text, length, length_form::long_16),
                       error::length_not_minimal, 4);
    }
}

TEST(frame_header, with_64_bits_for_a_short_length_is_refused_after_8_bytes)
{
    // Six bytes of zeros leave 16 bits for the length, whatever follows
    for (const std::uint64_t length : {0, 125, 126, 65535}) {
        expect_refused(header(fin | frames::text, length, length_form::long_64),
                       error::length_not_minimal, 8);
    }
}

TEST(frame_header, with_top_bit_of_the_length_is_refused_after_3_bytes)
{
    const std::uint64_t top = std::uint64_t{1} << 63;

    for (const std::uint64_t length : {top, top | 1, ~std::uint64_t{0}}) {
        expect_refused(
            header(fin | frames::binary, length, length_form::long_64),
            error::length_top_bit, 3);
    }
}

TEST(frame_header, of_server_has_the_shortest_form)
{
    for (const auto &[length, bytes] :
         std::initializer_list<std::pair<std::uint64_t, std::string>>{
             {0, {"\x82\x00", 2}},
             {125, "\x82\x7d"},
             {126, {"\x82\x7e\x00\x7e", 4}},
             {65535, "\x82\x7e\xff\xff"},
             {65536, {"\x82\x7f\0\0\0\0\0\1\0\0", 10}},
             {(std::uint64_t{1} << 63) - 1,
              "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"}}) {
        std::array<std::byte, max_server_header> to{};
        const std::size_t size =
            write_header(to.data(), opcode::binary, length);

        EXPECT_EQ(size, server_header_size(length));
        EXPECT_EQ(frames::as_string(std::span(to).first(size)), bytes);
    }
}

TEST(frame_header, of_server_carries_opcode_and_reserved_bits)
{
    for (const opcode code : {opcode::text, opcode::binary, opcode::close,
                              opcode::ping, opcode::pong}) {
        std::array<std::byte, max_server_header> to{};

        EXPECT_EQ(write_header(to.data(), code, 3), 2U);
        EXPECT_EQ(to[0], std::byte(0x80 | static_cast<unsigned>(code)));
        EXPECT_EQ(to[1], std::byte{3});

        write_header(to.data(), code, 3, rsv1);
        EXPECT_EQ(to[0], std::byte(0xC0 | static_cast<unsigned>(code)));
    }
}

TEST(opcode, with_its_high_bit_is_a_control_code)
{
    EXPECT_TRUE(is_control(opcode::close));
    EXPECT_TRUE(is_control(opcode::ping));
    EXPECT_TRUE(is_control(opcode::pong));
    EXPECT_FALSE(is_control(opcode::continuation));
    EXPECT_FALSE(is_control(opcode::text));
    EXPECT_FALSE(is_control(opcode::binary));
}
