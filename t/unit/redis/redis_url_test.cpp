// URLs of Redis servers.
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "redis/url.hpp"

using namespace websocket::redis;

namespace {

server_address target_of(std::string_view url)
{
    const parsed_url parsed = parse_url(url);
    EXPECT_TRUE(parsed) << url << ": " << parsed.fault;
    return parsed.target;
}

std::string fault_of(std::string_view url)
{
    const parsed_url parsed = parse_url(url);
    EXPECT_FALSE(parsed) << url;
    EXPECT_EQ(parsed.fault.find('\n'), std::string::npos) << url;
    return parsed.fault;
}

struct wrong_url {
    std::string_view url;
    std::string_view reason; // of the fault
};

std::ostream &operator<<(std::ostream &out, const wrong_url &wrong)
{
    return out << wrong.url;
}

class redis_url_refused : public testing::TestWithParam<wrong_url> {};

} // namespace

TEST(redis_url, host_alone_has_the_default_port_and_no_password)
{
    const server_address target = target_of("redis://redis.example");

    EXPECT_FALSE(target.is_unix);
    EXPECT_EQ(target.host, "redis.example");
    EXPECT_EQ(target.port, 6379);
    EXPECT_EQ(target.user, "");
    EXPECT_EQ(target.password, "");
    EXPECT_EQ(target.database, 0u);
    EXPECT_EQ(target.name(), "redis.example:6379");
}

TEST(redis_url, all_parts_are_read)
{
    const server_address target =
        target_of("redis://chat:secret@10.0.0.1:6380/12");

    EXPECT_EQ(target.user, "chat");
    EXPECT_EQ(target.password, "secret");
    EXPECT_EQ(target.host, "10.0.0.1");
    EXPECT_EQ(target.port, 6380);
    EXPECT_EQ(target.database, 12u);
    EXPECT_EQ(target.name(), "10.0.0.1:6380");
}

TEST(redis_url, password_needs_no_user)
{
    const server_address target = target_of("redis://:secret@localhost");

    EXPECT_EQ(target.user, "");
    EXPECT_EQ(target.password, "secret");
    EXPECT_EQ(target.host, "localhost");
}

TEST(redis_url, percents_in_user_and_password_are_decoded)
{
    const server_address target =
        target_of("redis://a%3ab:%40%2F%25%3F%23%20%c3%bc:x@localhost");

    EXPECT_EQ(target.user, "a:b");
    EXPECT_EQ(target.password, "@/%?# \xc3\xbc:x");
}

TEST(redis_url, rediss_is_the_same_with_tls)
{
    const server_address target =
        target_of("rediss://chat:secret@redis.example:6380/12");

    EXPECT_TRUE(target.tls);
    EXPECT_EQ(target.user, "chat");
    EXPECT_EQ(target.password, "secret");
    EXPECT_EQ(target.host, "redis.example");
    EXPECT_EQ(target.port, 6380);
    EXPECT_EQ(target.database, 12u);
    EXPECT_EQ(target_of("rediss://localhost").port, 6379);
    EXPECT_FALSE(target_of("redis://localhost").tls);
    EXPECT_FALSE(target_of("unix:/redis.sock").tls);
}

TEST(redis_url, ipv6_address_stands_in_brackets)
{
    const server_address target = target_of("redis://:x@[fd00::1]:6380/3");

    EXPECT_EQ(target.host, "fd00::1");
    EXPECT_EQ(target.port, 6380);
    EXPECT_EQ(target.database, 3u);
    EXPECT_EQ(target.name(), "[fd00::1]:6380");
    EXPECT_EQ(target_of("redis://[::1]").name(), "[::1]:6379");
}

TEST(redis_url, slash_without_a_database_is_the_first)
{
    EXPECT_EQ(target_of("redis://localhost/").database, 0u);
    EXPECT_EQ(target_of("redis://localhost:1/0").database, 0u);
    EXPECT_EQ(target_of("redis://localhost:65535/").port, 65535);
}

TEST(redis_url, unix_socket_has_a_path)
{
    const server_address target = target_of("unix:/run/redis/redis.sock");

    EXPECT_TRUE(target.is_unix);
    EXPECT_EQ(target.path, "/run/redis/redis.sock");
    EXPECT_EQ(target.password, "");
    EXPECT_EQ(target.name(), "unix:/run/redis/redis.sock");
}

TEST(redis_url, unix_socket_takes_parameters)
{
    const server_address target =
        target_of("unix:/a%3Fb.sock?db=7&user=c%26d&password=e=%3D:@/");

    EXPECT_EQ(target.path, "/a?b.sock");
    EXPECT_EQ(target.database, 7u);
    EXPECT_EQ(target.user, "c&d");
    EXPECT_EQ(target.password, "e==:@/");
    EXPECT_EQ(target_of("unix:/a?password=b").password, "b");
}

TEST(redis_url, sentinels_have_a_list_of_hosts_and_the_name_of_a_master)
{
    const server_address target = target_of(
        "sentinel://chat:secret@a.example,10.0.0.1:5000,[fd00::1]/my-master/3");

    ASSERT_EQ(target.sentinels.size(), 3u);
    EXPECT_EQ(target.sentinels[0].name(), "a.example:26379");
    EXPECT_EQ(target.sentinels[1].name(), "10.0.0.1:5000");
    EXPECT_EQ(target.sentinels[2].name(), "[fd00::1]:26379");
    EXPECT_EQ(target.master, "my-master");
    EXPECT_EQ(target.user, "chat");
    EXPECT_EQ(target.password, "secret");
    EXPECT_EQ(target.database, 3u);
    EXPECT_FALSE(target.tls);
    EXPECT_EQ(target.name(), "sentinel://a.example:26379,10.0.0.1:5000,"
                             "[fd00::1]:26379/my-master");
}

TEST(redis_url, cluster_has_a_list_of_hosts)
{
    const server_address target =
        target_of("cluster://chat:secret@a.example,10.0.0.1:5000,[fd00::1]");

    ASSERT_EQ(target.nodes.size(), 3u);
    EXPECT_EQ(target.nodes[0].name(), "a.example:6379");
    EXPECT_EQ(target.nodes[1].name(), "10.0.0.1:5000");
    EXPECT_EQ(target.nodes[2].name(), "[fd00::1]:6379");
    EXPECT_EQ(target.user, "chat");
    EXPECT_EQ(target.password, "secret");
    EXPECT_FALSE(target.tls);
    EXPECT_EQ(target.name(),
              "cluster://a.example:6379,10.0.0.1:5000,[fd00::1]:6379");
}

TEST(redis_url, one_node_of_a_cluster_is_enough)
{
    for (const std::string_view url :
         {"clusters://localhost", "clusters://localhost/",
          "clusters://localhost/0"}) {
        const server_address target = target_of(url);

        ASSERT_EQ(target.nodes.size(), 1u);
        EXPECT_TRUE(target.tls);
        EXPECT_TRUE(target.nodes[0].tls);
        EXPECT_EQ(target.name(), "clusters://localhost:6379");
    }
}

TEST(redis_url, one_sentinel_is_enough)
{
    const server_address target = target_of("sentinels://localhost/m/");

    ASSERT_EQ(target.sentinels.size(), 1u);
    EXPECT_TRUE(target.tls);
    EXPECT_TRUE(target.sentinels[0].tls);
    EXPECT_EQ(target.master, "m");
    EXPECT_EQ(target.database, 0u);
    EXPECT_EQ(target.name(), "sentinels://localhost:26379/m");
}

TEST(redis_url, same_database_needs_the_same_server_and_number)
{
    const auto same = [](std::string_view one, std::string_view other) {
        return same_database(target_of(one), target_of(other)) &&
               same_database(target_of(other), target_of(one));
    };

    EXPECT_TRUE(same("redis://a:6379", "redis://:secret@a/0"));
    EXPECT_TRUE(same("redis://a", "rediss://a"));
    EXPECT_FALSE(same("redis://a", "redis://b"));
    EXPECT_FALSE(same("redis://a", "redis://a:6380"));
    EXPECT_FALSE(same("redis://a", "redis://a/1"));
    EXPECT_FALSE(same("redis://a", "unix:/a"));
    EXPECT_FALSE(same("unix:/a", "unix:/b"));
    EXPECT_TRUE(same("sentinel://a,b/m", "sentinels://:secret@c,b/m"));
    EXPECT_FALSE(same("sentinel://a,b/m", "sentinel://c,d/m"));
    EXPECT_FALSE(same("sentinel://a,b/m", "sentinel://a,b/n"));
    EXPECT_FALSE(same("sentinel://a,b/m", "sentinel://a,b/m/1"));
    EXPECT_FALSE(same("sentinel://a/m", "redis://a:26379"));
    EXPECT_TRUE(same("cluster://a,b", "clusters://:secret@c,b"));
    EXPECT_FALSE(same("cluster://a,b", "cluster://c,d"));
    EXPECT_FALSE(same("cluster://a", "redis://a"));
    EXPECT_FALSE(same("redis://a", "cluster://a"));
    EXPECT_FALSE(same("cluster://a:26379", "sentinel://a/m"));
}

TEST(redis_url, name_has_neither_user_nor_password)
{
    for (const std::string_view url :
         {"redis://user:secret@localhost/1",
          "sentinel://user:secret@localhost/m/1",
          "unix:/redis.sock?user=user&password=secret"}) {
        const std::string name = target_of(url).name();

        EXPECT_EQ(name.find("user"), name.npos) << url;
        EXPECT_EQ(name.find("secret"), name.npos) << url;
    }
}

TEST(redis_url, path_may_fill_a_socket_address)
{
    const std::string longest = "/" + std::string(106, 'x');

    EXPECT_EQ(target_of("unix:" + longest).path, longest);
    EXPECT_NE(fault_of("unix:" + longest + "x").find("107 bytes"),
              std::string::npos);
}

TEST_P(redis_url_refused, has_a_reason)
{
    const auto &[url, reason] = GetParam();
    const std::string fault = fault_of(url);

    EXPECT_NE(fault.find(reason), std::string::npos) << fault;
}

// No error repeats a part of the URL.
TEST_P(redis_url_refused, does_not_repeat_the_password)
{
    EXPECT_EQ(fault_of(GetParam().url).find("secret"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    urls, redis_url_refused,
    testing::Values(
        wrong_url{"", "redis://"}, wrong_url{"localhost:6379", "redis://"},
        wrong_url{"redis:localhost", "redis://"},
        wrong_url{"REDIS://localhost", "redis://"},
        wrong_url{"http://:secret@localhost", "redis://"},
        wrong_url{"rediss:localhost", "rediss://"},
        wrong_url{"valkeys://:secret@localhost", "rediss://"},
        wrong_url{"rediss://", "no host"},
        wrong_url{"rediss://:secret@localhost:0", "the port"},
        wrong_url{"redis://", "no host"}, wrong_url{"redis://:6379", "no host"},
        wrong_url{"redis:///2", "no host"},
        wrong_url{"redis://:secret@", "no host"},
        wrong_url{"redis://a b", "the host"},
        wrong_url{"redis://localhost?db=1", "the host"},
        wrong_url{"redis://a,b", "the host"},
        wrong_url{"redis://localhost:", "the port"},
        wrong_url{"redis://localhost:0", "the port"},
        wrong_url{"redis://localhost:65536", "the port"},
        wrong_url{"redis://localhost:+1", "the port"},
        wrong_url{"redis://localhost:1x", "the port"},
        wrong_url{"redis://::1", "IPv6"}, wrong_url{"redis://1::2", "IPv6"},
        wrong_url{"redis://[::1", "IPv6"},
        wrong_url{"redis://[localhost]", "IPv6"},
        wrong_url{"redis://[::1]6379", "the port"},
        wrong_url{"redis://[fe80::1%25eth0]", "IPv6"},
        wrong_url{"redis://localhost/x", "the database"},
        wrong_url{"redis://localhost/-1", "the database"},
        wrong_url{"redis://localhost/1/2", "the database"},
        wrong_url{"redis://localhost/1?x", "the database"},
        wrong_url{"redis://localhost/4294967296", "the database"},
        wrong_url{"redis://secret@localhost", "\"user:password\""},
        wrong_url{"redis://user:@localhost", "password is empty"},
        wrong_url{"redis://:@localhost", "password is empty"},
        wrong_url{"redis://user:se/secret@localhost", "%2F"},
        wrong_url{"redis://user:se@secret@localhost", "%40"},
        wrong_url{"redis://user:se?secret@localhost", "%3F"},
        wrong_url{"redis://user:secret%@localhost", "%25"},
        wrong_url{"redis://user:secret%4@localhost", "%25"},
        wrong_url{"redis://user:secret%4x@localhost", "%25"},
        wrong_url{"redis://user:secret%00@localhost", "%25"},
        wrong_url{"redis://us%er:secret@localhost", "%25"},
        wrong_url{"sentinel://", "no host"},
        wrong_url{"sentinel:///m", "no host"},
        wrong_url{"sentinel://a,/m", "no host"},
        wrong_url{"sentinel://:secret@,a/m", "no host"},
        wrong_url{"sentinel://a", "the name of the master"},
        wrong_url{"sentinel://a/", "the name of the master"},
        wrong_url{"sentinel://a//1", "the name of the master"},
        wrong_url{"sentinel://a/m%20n", "the name of the master"},
        wrong_url{"sentinel://a,b:0/m", "the port"},
        wrong_url{"sentinel://a, b/m", "the host"},
        wrong_url{"sentinel://a,::1/m", "IPv6"},
        wrong_url{"sentinel://a/m/x", "the database"},
        wrong_url{"sentinel://secret@a/m", "\"user:password\""},
        wrong_url{"sentinel://:se/secret@a/m", "%2F"},
        wrong_url{"cluster://", "no host"},
        wrong_url{"cluster://a,", "no host"},
        wrong_url{"cluster://a/1", "only the database 0"},
        wrong_url{"cluster://a,b/0/", "only the database 0"},
        wrong_url{"cluster://a,b:0", "the port"},
        wrong_url{"cluster://secret@a", "\"user:password\""},
        wrong_url{"unix:", "must begin"},
        wrong_url{"unix:a.sock", "must begin"},
        wrong_url{"unix:?db=1", "must begin"}, wrong_url{"unix:/a%", "%25"},
        wrong_url{"unix:/a?", "after \"?\""},
        wrong_url{"unix:/a?secret", "after \"?\""},
        wrong_url{"unix:/a?pass=secret", "after \"?\""},
        wrong_url{"unix:/a?db=1&", "after \"?\""},
        wrong_url{"unix:/a?db=", "the database"},
        wrong_url{"unix:/a?db=x", "the database"},
        wrong_url{"unix:/a?user=b", "without a password"},
        wrong_url{"unix:/a?password=", "is empty"},
        wrong_url{"unix:/a?password=secret%zz", "%25"},
        wrong_url{"unix:/a?password=b&password=secret", "duplicate"}));
