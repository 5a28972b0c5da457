// Entries of clients of HTTP backends: formatting, parsing, and refusals.
#include "redis/client_entry.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace websocket::redis {

namespace {

TEST(client_entry, is_read_as_it_was_written)
{
    const std::string_view record("\0\x01 2\n3", 7);
    const std::string text =
        format_client_entry({.sequence = 18'446'744'073'709'551'615U,
                             .state = "one\n1 2 3",
                             .record = record});
    const auto read = parse_client_entry(text);

    ASSERT_TRUE(read);
    EXPECT_EQ(read->sequence, 18'446'744'073'709'551'615U);
    EXPECT_EQ(read->state, "one\n1 2 3");
    EXPECT_EQ(read->record, record);
}

TEST(client_entry, may_have_no_state_and_no_record)
{
    const auto read = parse_client_entry(format_client_entry({}));

    ASSERT_TRUE(read);
    EXPECT_EQ(read->sequence, 0U);
    EXPECT_EQ(read->state, "");
    EXPECT_EQ(read->record, "");
}

TEST(client_entry, refuses_what_is_invalid)
{
    for (const std::string_view text :
         {"", "1", "1 ", "1 2 0", "1 2\n", "2 2 0\n", "1 2 3\nab", "1 -2 0\n",
          "1 2 0 \n", "1 2 0 4\n", "1  0\n", "1 2 \n", "1  2 0\n", "1 x 0\n",
          "1 99999999999999999999 0\n", "1 2 99999999999999999999\n",
          " 1 2 0\n", "1\n2 0\n"}) {
        EXPECT_FALSE(parse_client_entry(text)) << text;
    }
}

TEST(client_entry, refuses_each_beginning_of_its_head)
{
    const std::string text =
        format_client_entry({.sequence = 123, .state = "state", .record = {}});

    for (std::size_t size = 0; size != text.size(); size++) {
        EXPECT_FALSE(parse_client_entry(std::string_view(text).substr(0, size)))
            << size;
    }
}

} // namespace

} // namespace websocket::redis
