// Text from clients: decoded, and repaired if it is not UTF-8.
#include "sdk/websocket_text.hpp"

#include "protocol/text/utf8.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

using websocket::detail::decimal;
using websocket::detail::form_decoded;
using websocket::detail::format_id;
using websocket::detail::parse_id;
using websocket::detail::repaired_text;
using websocket::protocol::is_valid_utf8;

namespace {

#define REPLACEMENT "\xef\xbf\xbd"

bool is_text(std::string_view text)
{
    return is_valid_utf8(std::as_bytes(std::span(text)));
}

} // namespace

TEST(form_decoded, takes_plus_and_percent)
{
    EXPECT_EQ(form_decoded("a+b%20c%2B%2b"), "a b c++");
    EXPECT_EQ(form_decoded("%"), "%");
    EXPECT_EQ(form_decoded("%4"), "%4");
    EXPECT_EQ(form_decoded("%4g%zz"), "%4g%zz");
    EXPECT_EQ(form_decoded("%00"), std::string(1, '\0'));
}

TEST(repaired_text, leaves_what_is_utf_8)
{
    for (const std::string_view text :
         {"", "plain", "J\xc3\xb6rg", "\xe2\x82\xac", "\xef\xbf\xbf",
          "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf",
          "\xee\x80\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80"}) {
        EXPECT_EQ(repaired_text(text), text);
    }
}

TEST(repaired_text, replaces_each_part_that_is_not_as_browsers_do)
{
    EXPECT_EQ(repaired_text("\xff"), REPLACEMENT);
    EXPECT_EQ(repaired_text("a\x80z"), "a" REPLACEMENT "z");
    EXPECT_EQ(repaired_text("\xc0\xaf"), REPLACEMENT REPLACEMENT);
    EXPECT_EQ(repaired_text("\xe2\x82"), REPLACEMENT);
    EXPECT_EQ(repaired_text("\xe2\x82z"), REPLACEMENT "z");
    EXPECT_EQ(repaired_text("\xf0\x9f\x98z\xf0"), REPLACEMENT "z" REPLACEMENT);
    EXPECT_EQ(repaired_text("\xed\xa0\x80"),
              REPLACEMENT REPLACEMENT REPLACEMENT);
    EXPECT_EQ(repaired_text("\xe0\x80"), REPLACEMENT REPLACEMENT);
    EXPECT_EQ(repaired_text("\xf4\x90\x80\x80"),
              REPLACEMENT REPLACEMENT REPLACEMENT REPLACEMENT);
    EXPECT_EQ(repaired_text("\xf5"), REPLACEMENT);
}

TEST(repaired_text, makes_utf_8_of_all_that_is_not)
{
    int wrong = 0;

    for (std::uint32_t i = 0; i != 1U << 24; i++) {
        const char text[] = {static_cast<char>(i >> 16),
                             static_cast<char>(i >> 8), static_cast<char>(i)};
        const std::string_view given(text, sizeof text);
        const std::string repaired = repaired_text(given);

        wrong +=
            is_text(repaired) && (repaired == given) == is_text(given) ? 0 : 1;
    }

    EXPECT_EQ(wrong, 0);
}

TEST(decimal, takes_up_the_whole_text)
{
    EXPECT_EQ(decimal("0"), 0U);
    EXPECT_EQ(decimal("18446744073709551615"), UINT64_MAX);

    for (const std::string_view wrong :
         {"", " 1", "1 ", "+1", "-1", "0x1", "18446744073709551616"}) {
        EXPECT_FALSE(decimal(wrong)) << wrong;
    }
}

TEST(id, is_two_decimals_and_a_dash)
{
    const auto id = parse_id("18446744073709551615-0");

    ASSERT_TRUE(id);
    EXPECT_EQ(id->epoch, UINT64_MAX);
    EXPECT_EQ(id->sequence, 0U);
    EXPECT_EQ(format_id(*id), "18446744073709551615-0");

    for (const std::string_view wrong :
         {"", "0", "-", "1-", "-1", "1-2-3", "1--2", "+1-2", "1- 2",
          "18446744073709551616-1"}) {
        EXPECT_FALSE(parse_id(wrong)) << wrong;
    }
}
