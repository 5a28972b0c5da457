// Entries of inboxes: formatting, parsing, and refusals.
#include "redis/inbox_entry.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>

namespace websocket::redis {

namespace {

TEST(inbox_entry, is_read_as_it_was_written)
{
    for (const bool is_answer : {false, true}) {
        for (const std::string_view body : {"", "m\x01 1\n2", "\n"}) {
            const std::string text =
                write_inbox_entry({.is_answer = is_answer,
                                   .host = "0123456789abcdef",
                                   .worker = 511,
                                   .number = 18'446'744'073'709'551'615U,
                                   .body = body});
            const auto read = parse_inbox_entry(text);

            ASSERT_TRUE(read);
            EXPECT_EQ(read->is_answer, is_answer);
            EXPECT_EQ(read->host, "0123456789abcdef");
            EXPECT_EQ(read->worker, 511U);
            EXPECT_EQ(read->number, 18'446'744'073'709'551'615U);
            EXPECT_EQ(read->body, body);
        }
    }
}

TEST(inbox_entry, refuses_what_is_invalid)
{
    for (const std::string_view text :
         {"", "\n", "q", "q a 1 1", "q a 1\n", "q a 512 1\n", "q a -1 1\n",
          "q a 1 x\n", "q  1 1\n", "q a 1 1 \n", "q a 1 1 1\n", "x a 1 1\n",
          " q a 1 1\n", "q a 1 18446744073709551616\n", "q a  1\n"}) {
        EXPECT_FALSE(parse_inbox_entry(text)) << text;
    }
}

TEST(inbox_entry, refuses_each_beginning_of_its_head)
{
    const std::string text = write_inbox_entry(
        {.host = "host", .worker = 1, .number = 2, .body = {}});

    for (std::size_t size = 0; size != text.size(); size++) {
        EXPECT_FALSE(parse_inbox_entry(std::string_view(text).substr(0, size)))
            << size;
    }
}

TEST(inbox_entry, has_a_number_of_its_own)
{
    std::set<std::uint64_t> numbers;

    for (const std::string time : {"1790000000000", "1790000000001"}) {
        for (int index = 0; index != 1000; index++) {
            const std::uint64_t number =
                inbox_entry_number(time + "-" + std::to_string(index));

            EXPECT_NE(number, 0U);
            EXPECT_LT(number, std::uint64_t{1} << 55);
            numbers.insert(number);
        }
    }

    EXPECT_EQ(numbers.size(), 2000U);
    EXPECT_EQ(inbox_entry_number("1790000000000"), 0U);
    EXPECT_EQ(inbox_entry_number(""), 0U);
}

} // namespace

} // namespace websocket::redis
