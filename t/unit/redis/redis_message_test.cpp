// Messages between hosts through a channel: parsing, refusals, and writing.
#include "redis/message.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace websocket::redis {

namespace {

using type = channel_message::type;

TEST(channel_message, reads_a_stored_one)
{
    const auto read =
        parse_channel_message("m 1790000000000-42 1 7 1790000000123\nhello");

    ASSERT_TRUE(read);
    EXPECT_EQ(read->what, type::stored);
    EXPECT_EQ(read->id, (broker::message_id{1790000000000, 42}));
    EXPECT_EQ(read->kind, 1);
    EXPECT_EQ(read->from, 7U);
    EXPECT_EQ(read->time, 1790000000123U);
    EXPECT_EQ(read->payload, "hello");
}

TEST(channel_message, leaves_a_payload_as_it_is)
{
    const std::string_view payload("\0\n m 1-1\n\xff", 10);
    const std::string text = std::string("m 1-1 2 0 1\n").append(payload);
    const auto read = parse_channel_message(text);

    ASSERT_TRUE(read);
    EXPECT_EQ(read->payload, payload);
}

TEST(channel_message, takes_an_empty_payload)
{
    const auto read = parse_channel_message("m 1-1 1 0 1\n");

    ASSERT_TRUE(read);
    EXPECT_EQ(read->payload, "");
}

TEST(channel_message, reads_a_passing_one_as_it_was_written)
{
    const std::string text = transient_message(2, 9007199254740991, "joined");
    const auto read = parse_channel_message(text);

    ASSERT_TRUE(read);
    EXPECT_EQ(read->what, type::transient);
    EXPECT_EQ(read->kind, 2);
    EXPECT_EQ(read->from, 9007199254740991U);
    EXPECT_EQ(read->payload, "joined");
}

TEST(channel_message, reads_the_clients_of_a_host)
{
    const auto read = parse_channel_message("c 00ff 12 1\n");

    ASSERT_TRUE(read);
    EXPECT_EQ(read->what, type::clients);
    EXPECT_EQ(read->host, "00ff");
    EXPECT_EQ(read->clients, 12U);
    EXPECT_TRUE(read->lost);
    EXPECT_FALSE(parse_channel_message("c 00ff 12 0\n")->lost);
}

class wrong_message : public testing::TestWithParam<std::string_view> {};

TEST_P(wrong_message, is_refused)
{
    EXPECT_FALSE(parse_channel_message(GetParam())) << GetParam();
}

INSTANTIATE_TEST_SUITE_P(
    all, wrong_message,
    testing::Values("", "\n", "m", "m 1-1 1 0 1", "x 1-1 1 0 1\n",
                    "m 1 1 0 1\n", "m 1- 1 0 1\n", "m -1 1 0 1\n",
                    "m a-1 1 0 1\n", "m 1-1 256 0 1\n", "m 1-1 -1 0 1\n",
                    "m 1-1 1 0\n", "m 1-1 1 0 1 2\n", "m 1-1 1  1\n",
                    "m 18446744073709551616-1 1 0 1\n", "m 1-1 1 0 1x\n",
                    "t 1\nhello", "t 300 0\nhello", "t 1 0 0\nhello",
                    "c host 1 2\n", "c host 4294967296 0\n", "c host -1 0\n",
                    "c host 1\n"));

} // namespace

} // namespace websocket::redis
