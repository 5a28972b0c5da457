// Text of a peer in a log line.
#include "protocol/text/printable.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace websocket::protocol {
namespace {

using namespace std::string_view_literals;

std::string printed(std::string_view text, quotes how = quotes::escaped,
                    std::size_t capacity = 256)
{
    std::string buffer(capacity, '#');

    return std::string(print(text, how, buffer));
}

struct printable : testing::TestWithParam<std::string_view> {};

TEST_P(printable, stays_as_it_is)
{
    EXPECT_EQ(printed(GetParam()), GetParam());
    EXPECT_EQ(printed(GetParam(), quotes::kept), GetParam());
}

INSTANTIATE_TEST_SUITE_P(texts, printable,
                         testing::Values("", "lobby", " !#$[]^_`{|}~", "жж",
                                         "\u00A0", "\u060C", "日本", "\u2027",
                                         "\u202F", "\uFEFE", "\U0001F600",
                                         "\U0010FFFF"));

struct unprintable_case {
    std::string_view text;
    std::string_view shown;
};

struct unprintable : testing::TestWithParam<unprintable_case> {};

TEST_P(unprintable, is_shown_byte_by_byte)
{
    const auto [text, shown] = GetParam();
    const std::string around = "a" + std::string(text) + "b";

    for (const quotes how : {quotes::kept, quotes::escaped}) {
        EXPECT_EQ(printed(text, how), shown);
        EXPECT_EQ(printed(around, how), "a" + std::string(shown) + "b");
    }
}

INSTANTIATE_TEST_SUITE_P(
    texts, unprintable,
    testing::Values(
        unprintable_case{"\n"sv, R"(\x0A)"},
        unprintable_case{"\r"sv, R"(\x0D)"},
        unprintable_case{"\0"sv, R"(\x00)"},
        unprintable_case{"\t"sv, R"(\x09)"},
        unprintable_case{"\x1B[2J"sv, R"(\x1B[2J)"},
        unprintable_case{"\x1F"sv, R"(\x1F)"},
        unprintable_case{"\x7F"sv, R"(\x7F)"},
        unprintable_case{"\u0080"sv, R"(\xC2\x80)"},
        unprintable_case{"\u0085"sv, R"(\xC2\x85)"},
        unprintable_case{"\u009B"sv, R"(\xC2\x9B)"},
        unprintable_case{"\u009F"sv, R"(\xC2\x9F)"},
        unprintable_case{"\u061C"sv, R"(\xD8\x9C)"},
        unprintable_case{"\u200B"sv, R"(\xE2\x80\x8B)"},
        unprintable_case{"\u2028"sv, R"(\xE2\x80\xA8)"},
        unprintable_case{"\u2029"sv, R"(\xE2\x80\xA9)"},
        unprintable_case{"\u202E"sv, R"(\xE2\x80\xAE)"},
        unprintable_case{"\u2066"sv, R"(\xE2\x81\xA6)"},
        unprintable_case{"\uFEFF"sv, R"(\xEF\xBB\xBF)"},
        unprintable_case{"\U000E0041"sv, R"(\xF3\xA0\x81\x81)"},
        // Not UTF-8: alone, cut, overlong, a surrogate, above U+10FFFF
        unprintable_case{"\x80"sv, R"(\x80)"},
        unprintable_case{"\xFF\xFE"sv, R"(\xFF\xFE)"},
        unprintable_case{"\xE2\x82"sv, R"(\xE2\x82)"},
        unprintable_case{"\xF0\x9F\x98"sv, R"(\xF0\x9F\x98)"},
        unprintable_case{"\xC0\x8A"sv, R"(\xC0\x8A)"},
        unprintable_case{"\xED\xA0\x80"sv, R"(\xED\xA0\x80)"},
        unprintable_case{"\xF4\x90\x80\x80"sv, R"(\xF4\x90\x80\x80)"}));

TEST(printable_quotes, are_escaped_where_the_text_stands_in_quotes)
{
    EXPECT_EQ(printed(R"(a", code 1000 \x0A)"), R"(a\", code 1000 \\x0A)");
    EXPECT_EQ(printed(R"(a "b" \)", quotes::kept), R"(a "b" \)");
}

// The result never exceeds the buffer, and is never cut inside a character or
// an escape.
TEST(printable_size, text_that_does_not_fit_ends_in_dots)
{
    EXPECT_EQ(printed("12345678", quotes::escaped, 8), "12345678");
    EXPECT_EQ(printed("123456789", quotes::escaped, 8), "12345...");
    EXPECT_EQ(printed("1234жжж", quotes::escaped, 8), "1234...");
    EXPECT_EQ(printed("12\n\n", quotes::escaped, 8), "12...");
    EXPECT_EQ(printed("1\n\n", quotes::escaped, 8), "1\\x0A...");
    EXPECT_EQ(printed("123456\"", quotes::escaped, 8), "123456\\\"");
    EXPECT_EQ(printed("1234567\"", quotes::escaped, 8), "12345...");
    EXPECT_EQ(printed("\n", quotes::escaped, 3), "...");
    EXPECT_EQ(printed("1234", quotes::escaped, 3), "...");
    EXPECT_EQ(printed("123", quotes::escaped, 3), "123");
}

TEST(printable_size, all_sizes_and_all_bytes)
{
    std::string every;

    for (int c = 0; c != 256; c++) {
        every.push_back(static_cast<char>(c));
    }

    const std::string all = printed(every, quotes::escaped, 4096);

    EXPECT_EQ(all.find_first_of("\n\r\x1B\x7F\x80\xFF"), all.npos);

    for (std::size_t capacity = 3; capacity <= all.size(); capacity++) {
        const std::string part = printed(every, quotes::escaped, capacity);

        ASSERT_LE(part.size(), capacity);
        ASSERT_GE(part.size() + 4, capacity);
        ASSERT_TRUE(capacity == all.size() || part.ends_with("..."));
    }
}

} // namespace
} // namespace websocket::protocol
