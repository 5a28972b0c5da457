// The rule "same" of websocket_origins.
#include <string_view>

#include <gtest/gtest.h>

#include "protocol/handshake/origin.hpp"

#include "origin_lists.hpp"

using namespace websocket::protocol;
using namespace origin_lists;

TEST(same_origin, compares_the_host_ignoring_case)
{
    EXPECT_TRUE(is_same_origin("https://a.example", "a.example"));
    EXPECT_TRUE(is_same_origin("https://a.example", "A.EXAMPLE"));
    EXPECT_TRUE(is_same_origin("http://127.0.0.1", "127.0.0.1"));

    for (const char *host : {"b.example", "example", "b.a.example",
                             "a.example.com", "aa.example", "a.example."}) {
        EXPECT_FALSE(is_same_origin("https://a.example", host)) << host;
    }
    EXPECT_TRUE(is_same_origin("https://a.example.", "a.example."));
    EXPECT_FALSE(is_same_origin("https://a.example.", "a.example"));
}

TEST(same_origin, does_not_compare_the_scheme)
{
    EXPECT_TRUE(is_same_origin("http://a.example", "a.example"));
    EXPECT_TRUE(is_same_origin("https://a.example", "a.example"));
    EXPECT_TRUE(is_same_origin("http://a.example:8080", "a.example:8080"));
    EXPECT_TRUE(is_same_origin("https://a.example:8080", "a.example:8080"));
}

TEST(same_origin, compares_default_ports_too)
{
    EXPECT_TRUE(is_same_origin("https://a.example", "a.example:443"));
    EXPECT_TRUE(is_same_origin("https://a.example:443", "a.example"));
    EXPECT_TRUE(is_same_origin("http://a.example", "a.example:80"));
    EXPECT_TRUE(is_same_origin("http://a.example:80", "a.example"));

    EXPECT_FALSE(is_same_origin("http://a.example", "a.example:443"));
    EXPECT_FALSE(is_same_origin("https://a.example", "a.example:80"));
    EXPECT_FALSE(is_same_origin("https://a.example:8443", "a.example"));
    EXPECT_FALSE(is_same_origin("https://a.example", "a.example:8443"));
    EXPECT_FALSE(is_same_origin("http://a.example:80", "a.example:8080"));
}

TEST(same_origin, compares_ipv6_addresses)
{
    EXPECT_TRUE(is_same_origin("http://[::1]:8080", "[::1]:8080"));
    EXPECT_TRUE(is_same_origin("http://[::1]", "[::1]:80"));
    EXPECT_TRUE(is_same_origin("http://[FE80::1]", "[fe80::1]"));
    EXPECT_FALSE(is_same_origin("http://[::1]:8080", "[::1]"));
    EXPECT_FALSE(is_same_origin("http://[::1]", "[::2]"));
    EXPECT_FALSE(is_same_origin("http://[::1]", "::1"));
}

TEST(same_origin, never_holds_for_a_malformed_origin)
{
    for (const std::string_view origin : malformed_origins) {
        EXPECT_FALSE(is_same_origin(origin, "a.example")) << origin;
        EXPECT_FALSE(is_same_origin(origin, origin)) << origin;
        // A Host with the text after the scheme does not match either.
        const auto slashes = origin.find("//");
        if (origin.starts_with("https:") && slashes == 6) {
            const auto host = origin.substr(8);
            EXPECT_FALSE(is_same_origin(origin, host)) << origin;
        }
    }
}

TEST(same_origin, never_holds_for_an_origin_that_is_not_of_the_web)
{
    for (const std::string_view origin : program_origins) {
        EXPECT_FALSE(is_same_origin(origin, "a.example")) << origin;
        EXPECT_FALSE(is_same_origin(origin, "null")) << origin;
        EXPECT_FALSE(is_same_origin(origin, "")) << origin;
    }
}

TEST(same_origin, never_holds_for_a_malformed_host)
{
    for (const char *host :
         {"", ":443", "a.example:", "a.example:0", "a.example:x", "a.example/",
          "user@a.example", "https://a.example", " a.example", "a.example ",
          "a.example,a.example", "a.example:66000"}) {
        EXPECT_FALSE(is_same_origin("https://a.example", host)) << host;
    }
}
