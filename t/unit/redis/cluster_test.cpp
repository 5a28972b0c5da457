// Slots of a cluster, and redirections.
#include <string_view>

#include <gtest/gtest.h>

#include "redis/cluster.hpp"

using namespace websocket::redis;

namespace {

using type = redirect::type;

void expect(std::string_view error, type what, std::string_view host = {},
            std::uint16_t port = 0)
{
    const redirect found = parse_redirect(error);

    EXPECT_EQ(found.what, what) << error;
    EXPECT_EQ(found.host, host) << error;
    EXPECT_EQ(found.port, port) << error;
}

} // namespace

// As CLUSTER KEYSLOT answers for {0}, {3}, {9}, {10} and {15}.
TEST(redis_cluster, slot_of_a_shard_is_that_of_its_keys)
{
    EXPECT_EQ(slot_of(0), 13907u);
    EXPECT_EQ(slot_of(3), 1584u);
    EXPECT_EQ(slot_of(9), 10106u);
    EXPECT_EQ(slot_of(10), 247u);
    EXPECT_EQ(slot_of(15), 4178u);
}

TEST(redis_cluster, redirections_name_another_node)
{
    expect("MOVED 1584 10.0.0.1:6379", type::moved, "10.0.0.1", 6379);
    expect("MOVED 1584 redis.example:1", type::moved, "redis.example", 1);
    expect("MOVED 1584 fd00::1:6379", type::moved, "fd00::1", 6379);
    expect("MOVED 1584 :6379", type::moved, "", 6379);
    expect("ASK 1584 10.0.0.1:65535", type::ask, "10.0.0.1", 65535);
}

TEST(redis_cluster, redirection_without_a_port_is_tried_later)
{
    expect("MOVED 1584 10.0.0.1", type::later);
    expect("MOVED 1584 10.0.0.1:", type::later);
    expect("MOVED 1584 10.0.0.1:0", type::later);
    expect("ASK 1584 10.0.0.1:65536", type::later);
    expect("MOVED ", type::later);
}

TEST(redis_cluster, moving_slots_are_tried_later)
{
    expect("TRYAGAIN Multiple keys request during rehashing of slot",
           type::later);
    expect("CLUSTERDOWN The cluster is down", type::later);
    expect("ERR Script attempted to access a non local key in a cluster node "
           "script: 8c5d, on @user_script:1.",
           type::later);
}

TEST(redis_cluster, other_errors_redirect_nowhere)
{
    expect("", type::none);
    expect("ERR unknown command", type::none);
    expect("OOM command not allowed", type::none);
    expect("NOSCRIPT No matching script", type::none);
    expect("MOVE", type::none);
}
