// The grammar of Sec-WebSocket-Extensions (RFC 6455 9.1).
#include "protocol/deflate/extension_reader.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

using websocket::protocol::extension_reader;

namespace {

// "a;b=c|d" for two extensions; "!" marks a fault of the grammar.
std::string parts_of(std::string_view value)
{
    // On the heap, so that a sanitizer finds a read past the end
    const auto copy = std::make_unique<char[]>(value.size());
    value.copy(copy.get(), value.size());
    extension_reader reader{{copy.get(), value.size()}};
    std::string seen;

    for (;;) {
        switch (reader.next()) {
        case extension_reader::part::extension:
            seen.append(seen.empty() ? "" : "|").append(reader.name());
            break;
        case extension_reader::part::parameter:
            seen.append(";").append(reader.name());
            if (reader.has_value()) {
                seen.append("=").append(reader.value());
            }
            break;
        case extension_reader::part::end:
            return seen;
        case extension_reader::part::malformed:
            EXPECT_EQ(reader.next(), extension_reader::part::malformed);
            return seen + "!";
        }
    }
}

} // namespace

TEST(extension_reader, reads_extensions_and_parameters)
{
    EXPECT_EQ(parts_of("a"), "a");
    EXPECT_EQ(parts_of("a;b"), "a;b");
    EXPECT_EQ(parts_of("a;b=c;d, e;f=9,g"), "a;b=c;d|e;f=9|g");
    EXPECT_EQ(parts_of("a;b;b"), "a;b;b");
}

TEST(extension_reader, takes_white_space_between_any_two_parts)
{
    EXPECT_EQ(parts_of(" \ta ;\tb\t=  c ,  d "), "a;b=c|d");
    EXPECT_EQ(parts_of("a; b = \"c\" ; d"), "a;b=c;d");
}

TEST(extension_reader, skips_empty_elements)
{
    EXPECT_EQ(parts_of(""), "");
    EXPECT_EQ(parts_of("  "), "");
    EXPECT_EQ(parts_of(" , ,, "), "");
    EXPECT_EQ(parts_of(",a,,b, ,"), "a|b");
}

TEST(extension_reader, takes_values_out_of_quotation_marks)
{
    EXPECT_EQ(parts_of("a;b=\"10\""), "a;b=10");
    EXPECT_EQ(parts_of("a;b=\"1\\0\""), "a;b=10");
    EXPECT_EQ(parts_of("a;b=\"\\1\\0\";c"), "a;b=10;c");
}

TEST(extension_reader, keeps_the_start_of_a_long_value)
{
    EXPECT_EQ(parts_of("a;b=123456789;c"), "a;b=12345678;c");
    EXPECT_EQ(parts_of("a;b=\"123456789\",c"), "a;b=12345678|c");
    EXPECT_EQ(parts_of("a;b=123456789;c=1"), "a;b=12345678;c=1");
}

TEST(extension_reader, refuses_what_is_no_token)
{
    for (const std::string_view value :
         {";",      ";a",       "=",       "\"a\"",   "a b",  "a/b",
          "a;",     "a;,b",     "a;;b",    "a;=c",    "a;b=", "a;b=,c",
          "a;b=;c", "a;b==c",   "a;b=c d", "a;b=c=d", "a=b",  "a;b=(c)",
          "a\x7f",  "\xc3\xa9", "a;b c",   "a;\"b\""}) {
        EXPECT_EQ(parts_of(value).back(), '!') << value;
    }
    using namespace std::string_view_literals;
    EXPECT_EQ(parts_of("a\0b"sv), "a!");
}

TEST(extension_reader, refuses_broken_quoted_strings)
{
    for (const std::string_view value :
         {"a;b=\"", "a;b=\"c", "a;b=\"\"", "a;b=\"c d\"", "a;b=\"c,d\"",
          "a;b=\"c\\", "a;b=\"c\\\"", "a;b=\"\\\"\"", "a;b=\"\\\\\"",
          "a;b=\"c\"d", "a;b=c\"d\"", "a;b=\"c\"\"d\"", "a;b=\"\xc3\xa9\""}) {
        EXPECT_EQ(parts_of(value).back(), '!') << value;
    }
}

TEST(extension_reader, reports_what_stands_before_a_fault)
{
    EXPECT_EQ(parts_of("a;b=c, d;=e, f"), "a;b=c|d!");
}

TEST(extension_reader, goes_over_a_large_field_once)
{
    std::string value;
    std::string expected;

    for (int i = 0; i < 100000; i++) {
        value += "a;b=\"c\", ,";
        expected += i == 0 ? "a;b=c" : "|a;b=c";
    }

    EXPECT_EQ(parts_of(value), expected);
    EXPECT_EQ(parts_of(std::string(1000000, ',')), "");
    EXPECT_EQ(parts_of("a" + std::string(1000000, ';')), "a!");
    EXPECT_EQ(parts_of("a;b=" + std::string(1000000, '9')), "a;b=99999999");
}
