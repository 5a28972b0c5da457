// Control frames that an endpoint sends (RFC 6455 5.5).
#include "protocol/messages/endpoint.hpp"

#include "protocol/frames/close_code.hpp"
#include "protocol/text/utf8.hpp"

#include "frame_builder.hpp"
#include "sent_frames.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

using namespace websocket::protocol;
using frames::fin;
using sent_frames::bytes_of;
using sent_frames::sent;
using sent_frames::sent_close;

namespace {

constexpr unsigned ping = fin | frames::ping;
constexpr unsigned pong = fin | frames::pong;
constexpr unsigned empty_close = fin | frames::close;

std::string cut_reason(std::string_view reason)
{
    return bytes_of(make_close_frame(1000, reason)).substr(4);
}

} // namespace

TEST(control_frame, has_header_and_payload)
{
    const std::string longest(125, 'x');
    const control_frame frame{opcode::ping, std::as_bytes(std::span(longest))};

    EXPECT_EQ(bytes_of(frame), sent(ping, longest));
    EXPECT_EQ(bytes_of({opcode::pong, {}}), sent(pong));
    EXPECT_FALSE(frame.empty());
    EXPECT_TRUE(control_frame{}.empty());
    EXPECT_TRUE(control_frame{}.bytes().empty());
}

TEST(control_frame, cuts_a_payload_over_125_bytes)
{
    const std::string long_one(126, 'x');
    const control_frame frame{opcode::ping, std::as_bytes(std::span(long_one))};

    EXPECT_EQ(bytes_of(frame), sent(ping, long_one.substr(0, 125)));
}

TEST(control_frame, keeps_its_payload_after_the_original_was_freed)
{
    std::string payload = "queued";
    const control_frame frame{opcode::ping, std::as_bytes(std::span(payload))};
    const control_frame copy = frame;
    payload = "reused";

    EXPECT_EQ(bytes_of(copy), sent(ping, "queued"));
}

TEST(close_frame, carries_code_and_reason)
{
    EXPECT_EQ(bytes_of(make_close_frame(1001, "bye")), sent_close(1001, "bye"));
    EXPECT_EQ(bytes_of(make_close_frame(4999, "")), sent_close(4999));
}

TEST(close_frame, is_empty_for_a_code_invalid_on_the_wire)
{
    for (const std::uint16_t code : {0, 999, 1004, 1005, 1006, 1015, 5000}) {
        EXPECT_EQ(bytes_of(make_close_frame(code, "bye")), sent(empty_close))
            << code;
    }
}

TEST(close_frame, cuts_a_reason_over_123_bytes)
{
    EXPECT_EQ(cut_reason(std::string(123, 'x')), std::string(123, 'x'));
    EXPECT_EQ(cut_reason(std::string(200, 'x')), std::string(123, 'x'));
}

TEST(close_frame, leaves_out_a_reason_that_is_not_utf_8)
{
    EXPECT_EQ(cut_reason("caf\xc3"), "");
    EXPECT_EQ(cut_reason("\xff"), "");
    EXPECT_EQ(close_reason("caf\xc3\xa9"), "caf\xc3\xa9");
    EXPECT_EQ(close_reason("\xed\xa0\x80"), "");
}

TEST(close_frame, cuts_a_reason_at_a_characters_end)
{
    for (const std::string_view character :
         {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
        for (std::size_t before = 115; before <= 123; before++) {
            std::string reason(before, 'x');
            reason += std::string(character) + std::string(character);
            reason += "and more";
            const std::string cut = cut_reason(reason);

            EXPECT_TRUE(reason.starts_with(cut)) << before;
            EXPECT_TRUE(is_valid_utf8(std::as_bytes(std::span(cut))));
            EXPECT_GT(cut.size() + character.size(), 123U);
            EXPECT_LE(cut.size(), 123U);
        }
    }
}

TEST(close_frame, limits_a_reason_of_arbitrary_bytes)
{
    EXPECT_LE(cut_reason(std::string(300, '\x80')).size(), 123U);
}
