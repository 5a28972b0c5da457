// Entries of a shard's log: parsing, refusals, and formatting; and the shards.
#include "redis/keys.hpp"
#include "redis/log_entry.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>

namespace websocket::redis {

namespace {

using type = log_entry::type;

TEST(log_entry, reads_a_stored_one)
{
    const auto read = parse_log_entry(
        "m 6 4000000000 1790000000000-42 1 7 1790000000123\nroom:ahello");

    ASSERT_TRUE(read);
    EXPECT_EQ(read->what, type::stored);
    EXPECT_EQ(read->name, "room:a");
    EXPECT_EQ(read->id, (broker::message_id{1790000000000, 42}));
    EXPECT_EQ(read->kind, 1);
    EXPECT_EQ(read->from, 7U);
    EXPECT_EQ(read->time, 1790000000123U);
    EXPECT_EQ(read->run, 4000000000U);
    EXPECT_EQ(read->payload, "hello");
}

TEST(log_entry, leaves_a_name_and_a_payload_as_they_are)
{
    const std::string_view payload("\0\n m 1-1\n\xff", 10);
    const std::string_view name("a \n\0b", 5);
    const std::string text =
        std::string("m 5 0 1-1 2 0 1\n").append(name).append(payload);
    const auto read = parse_log_entry(text);

    ASSERT_TRUE(read);
    EXPECT_EQ(read->name, name);
    EXPECT_EQ(read->payload, payload);
}

TEST(log_entry, takes_an_empty_name_and_payload)
{
    const auto read = parse_log_entry("m 0 0 1-1 1 0 1\n");

    ASSERT_TRUE(read);
    EXPECT_EQ(read->name, "");
    EXPECT_EQ(read->payload, "");
}

TEST(log_entry, reads_a_transient_one_as_it_was_formatted)
{
    const std::string text =
        transient_entry("room:b", 77, 2, 9007199254740991, "joined");
    const auto read = parse_log_entry(text);

    ASSERT_TRUE(read);
    EXPECT_EQ(read->what, type::transient);
    EXPECT_EQ(read->run, 77U);
    EXPECT_EQ(read->name, "room:b");
    EXPECT_EQ(read->kind, 2);
    EXPECT_EQ(read->from, 9007199254740991U);
    EXPECT_EQ(read->payload, "joined");
}

TEST(log_entry, reads_the_clients_of_a_host)
{
    const auto read = parse_log_entry("c 4 9 00ff 12 1\nroom");

    ASSERT_TRUE(read);
    EXPECT_EQ(read->what, type::clients);
    EXPECT_EQ(read->name, "room");
    EXPECT_EQ(read->run, 9U);
    EXPECT_EQ(read->host, "00ff");
    EXPECT_EQ(read->clients, 12U);
    EXPECT_TRUE(read->lost);
    EXPECT_FALSE(parse_log_entry("c 4 9 00ff 12 0\nroom")->lost);
}

class wrong_entry : public testing::TestWithParam<std::string_view> {};

TEST_P(wrong_entry, is_refused)
{
    EXPECT_FALSE(parse_log_entry(GetParam())) << GetParam();
}

INSTANTIATE_TEST_SUITE_P(
    all, wrong_entry,
    testing::Values("", "\n", "m", "m 0 0 1-1 1 0 1", "x 0 0 1-1 1 0 1\n",
                    "m 0 0 1 1 0 1\n", "m 0 0 1- 1 0 1\n", "m 0 0 -1 1 0 1\n",
                    "m 0 0 a-1 1 0 1\n", "m 0 0 1-1 256 0 1\n",
                    "m 0 0 1-1 -1 0 1\n", "m 0 0 1-1 1 0\n", "m 0 1-1 1 0 1\n",
                    "m 0 0 1-1 1 0 1 2\n", "m 0 0 1-1 1  1\n",
                    "m 0 0 18446744073709551616-1 1 0 1\n",
                    "m 0 0 1-1 1 0 1x\n", "m 0 4294967296 1-1 1 0 1\n",
                    "m 0 -1 1-1 1 0 1\n", "m 5 0 1-1 1 0 1\nroom",
                    "m -1 0 1-1 1 0 1\nroom", "t 0 0 1\nhello",
                    "t 0 0 300 0\nhello", "t 0 0 1 0 0\nhello",
                    "t 0 1 0\nhello", "t 6 0 1 0\nhello", "c 0 0 host 1 2\n",
                    "c 0 0 host 4294967296 0\n", "c 0 0 host -1 0\n",
                    "c 0 0 host 1\n", "c 0 host 1 0\n"));

TEST(numbered_entry, has_an_id_before_the_entry)
{
    const auto read = parse_numbered_entry("17-4 t 0 0 1 0\n");

    ASSERT_TRUE(read);
    EXPECT_EQ(read->id, (broker::message_id{17, 4}));
    EXPECT_EQ(read->text, "t 0 0 1 0\n");
    for (const std::string_view wrong :
         {"", " ", "17-4", "17 t", "a-4 t", "17-4t", "-4 t", "17- t"}) {
        EXPECT_FALSE(parse_numbered_entry(wrong)) << wrong;
    }
}

// Hosts of different releases must agree on them.
TEST(shard, of_a_name_never_changes)
{
    EXPECT_EQ(shard_of(""), 9U);
    EXPECT_EQ(shard_of("a"), 0U);
    EXPECT_EQ(shard_of("room:room"), 10U);
    EXPECT_EQ(shard_of("room:Gr\xc3\xbc\xc3\x9f"
                       "e"),
              2U);
    EXPECT_EQ(position_key("a"), "{0}m:a");
    EXPECT_EQ(channel(7, 3), "{7}n:3");
}

TEST(shard, gets_its_share_of_names)
{
    std::multiset<unsigned> found;

    for (unsigned i = 0; i < 16000; i++) {
        found.insert(shard_of("room:" + std::to_string(i)));
    }
    for (unsigned shard = 0; shard != shard_count; shard++) {
        EXPECT_NEAR(static_cast<double>(found.count(shard)), 1000, 250)
            << shard;
    }
}

} // namespace

} // namespace websocket::redis
