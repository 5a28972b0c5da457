// Origin patterns of websocket_origins.
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "protocol/handshake/origin.hpp"

#include "origin_lists.hpp"

using namespace websocket::protocol;
using namespace origin_lists;

namespace {

// Whether the pattern matches. An invalid pattern fails the test.
bool match(std::string_view pattern, std::string_view origin)
{
    const auto parsed = origin_pattern::parse(pattern);
    EXPECT_TRUE(parsed) << pattern;
    return parsed && parsed->matches(origin);
}

std::string why_not(std::string_view pattern)
{
    std::string_view reason;
    const auto parsed = origin_pattern::parse(pattern, &reason);
    EXPECT_EQ(parsed.has_value(), reason.empty()) << pattern;
    return std::string(reason);
}

} // namespace

TEST(origin_pattern, matches_its_own_origin)
{
    EXPECT_TRUE(match("https://a.example", "https://a.example"));
    EXPECT_TRUE(match("http://a.example", "http://a.example"));
    EXPECT_TRUE(match("http://localhost:8080", "http://localhost:8080"));
    EXPECT_TRUE(match("http://127.0.0.1:3000", "http://127.0.0.1:3000"));
    EXPECT_TRUE(match("https://a_b.example", "https://a_b.example"));
    EXPECT_TRUE(match("https://xn--4ca.example", "https://xn--4ca.example"));
}

TEST(origin_pattern, ignores_the_case_of_scheme_and_host)
{
    EXPECT_TRUE(match("https://a.example", "HTTPS://A.Example"));
    EXPECT_TRUE(match("HTTPS://A.EXAMPLE", "https://a.example"));
    EXPECT_TRUE(match("*.EXAMPLE.com", "https://a.example.COM"));
    EXPECT_TRUE(match("http://[::FF]", "http://[::ff]"));
}

TEST(origin_pattern, distinguishes_schemes)
{
    EXPECT_FALSE(match("https://a.example", "http://a.example"));
    EXPECT_FALSE(match("http://a.example", "https://a.example"));
    EXPECT_FALSE(match("https://a.example", "http://a.example:443"));
    EXPECT_FALSE(match("http://a.example", "https://a.example:80"));
}

TEST(origin_pattern, takes_the_default_port_for_none)
{
    EXPECT_TRUE(match("https://a.example", "https://a.example:443"));
    EXPECT_TRUE(match("https://a.example:443", "https://a.example"));
    EXPECT_TRUE(match("http://a.example", "http://a.example:80"));
    EXPECT_TRUE(match("http://a.example:80", "http://a.example"));
    EXPECT_TRUE(match("http://a.example:65535", "http://a.example:65535"));
}

TEST(origin_pattern, distinguishes_ports)
{
    EXPECT_FALSE(match("https://a.example", "https://a.example:8443"));
    EXPECT_FALSE(match("https://a.example:8443", "https://a.example"));
    EXPECT_FALSE(match("https://a.example:8443", "https://a.example:844"));
    EXPECT_FALSE(match("https://a.example", "https://a.example:80"));
}

TEST(origin_pattern, distinguishes_hosts)
{
    for (const char *origin :
         {"https://b.example", "https://a.example.com", "https://a.exampl",
          "https://aa.example", "https://b.a.example", "https://example",
          "https://a.example.evil.com", "https://a-example"}) {
        EXPECT_FALSE(match("https://a.example", origin)) << origin;
    }
}

TEST(origin_pattern, takes_the_dot_of_the_root_for_another_host)
{
    EXPECT_FALSE(match("https://a.example", "https://a.example."));
    EXPECT_FALSE(match("*.example", "https://a.example."));
    EXPECT_TRUE(match("https://a.example.", "https://a.example."));
    EXPECT_TRUE(match("*.example.", "https://a.example."));
    EXPECT_FALSE(match("*.example.", "https://a.example"));
}

TEST(origin_pattern, matches_ipv6_addresses_as_text)
{
    EXPECT_TRUE(match("http://[::1]", "http://[::1]"));
    EXPECT_TRUE(match("http://[::1]", "http://[::1]:80"));
    EXPECT_TRUE(match("http://[::1]:8080", "http://[::1]:8080"));
    EXPECT_FALSE(match("http://[::1]:8080", "http://[::1]"));
    EXPECT_FALSE(match("http://[::1]", "http://[::2]"));
    EXPECT_FALSE(match("http://[::1]", "http://[0:0:0:0:0:0:0:1]"));

    for (const char *origin :
         {"http://[::1", "http://::1", "http://::1]", "http://[::1]8080",
          "http://[::1]:", "http://[::1]:0", "http://[::1].", "http://[]",
          "http://[[::1]]", "http://[::1]]", "http://[::1%25lo]", "http://[",
          "http://]", "http://[::g]", "http://[1:2]", "http://a[::1]"}) {
        EXPECT_FALSE(match("http://[::1]", origin)) << origin;
        EXPECT_NE(why_not(origin), "") << origin;
        EXPECT_FALSE(is_same_origin(origin, origin + 7)) << origin;
    }
}

TEST(subdomain_pattern, matches_names_below_the_host_at_any_depth)
{
    EXPECT_TRUE(match("*.example.com", "https://a.example.com"));
    EXPECT_TRUE(match("*.example.com", "http://a.example.com"));
    EXPECT_TRUE(match("*.example.com", "https://c.b.a.example.com"));
    EXPECT_TRUE(match("*.example.com", "https://x.example.com:443"));
    EXPECT_TRUE(match("*.localhost", "http://a.localhost"));
}

TEST(subdomain_pattern, matches_nothing_beside_or_above_the_host)
{
    for (const char *origin : {"https://example.com",
                               "https://evil-example.com",
                               "https://evilexample.com",
                               "https://example.com.evil.com",
                               "https://a.example.com.evil.com",
                               "https://.example.com",
                               "https://a..example.com",
                               "https://com",
                               "https://a.example.org",
                               "https://a.xexample.com",
                               "https://evil.com/.example.com",
                               "https://evil.com?.example.com",
                               "https://evil.com#.example.com",
                               "https://evil.com\\.example.com",
                               "https://evil.com:80.example.com",
                               "https://evil.com@a.example.com",
                               "https://*.example.com",
                               "https://evil.com .example.com",
                               "https://[::1].example.com",
                               "ws://a.example.com",
                               "null"}) {
        EXPECT_FALSE(match("*.example.com", origin)) << origin;
    }
}

TEST(subdomain_pattern, without_a_port_takes_the_default_one_of_the_scheme)
{
    EXPECT_TRUE(match("*.example.com", "http://a.example.com:80"));
    EXPECT_FALSE(match("*.example.com", "http://a.example.com:443"));
    EXPECT_FALSE(match("*.example.com", "https://a.example.com:80"));
    EXPECT_FALSE(match("*.example.com", "https://a.example.com:8443"));
}

TEST(subdomain_pattern, with_a_scheme_takes_that_one_alone)
{
    EXPECT_TRUE(match("https://*.example.com", "https://a.example.com"));
    EXPECT_TRUE(match("HTTPS://*.example.com", "https://b.a.example.com:443"));
    EXPECT_TRUE(match("http://*.example.com:81", "http://a.example.com:81"));
    EXPECT_TRUE(match("app://*.example", "app://a.example"));
    EXPECT_FALSE(match("https://*.example.com", "http://a.example.com"));
    EXPECT_FALSE(match("https://*.example.com", "http://a.example.com:443"));
    EXPECT_FALSE(match("https://*.example.com", "https://a.example.com:8443"));
    EXPECT_FALSE(match("https://*.example.com", "https://example.com"));
    EXPECT_FALSE(match("https://*.example.com", "https://evilexample.com"));
    EXPECT_FALSE(match("https://*.example.com", "https://*.example.com"));
}

TEST(subdomain_pattern, with_a_port_takes_that_one_of_any_scheme)
{
    EXPECT_TRUE(match("*.example.com:8443", "https://a.example.com:8443"));
    EXPECT_TRUE(match("*.example.com:8443", "http://a.example.com:8443"));
    EXPECT_FALSE(match("*.example.com:8443", "https://a.example.com"));
    EXPECT_TRUE(match("*.example.com:443", "https://a.example.com"));
    EXPECT_FALSE(match("*.example.com:443", "http://a.example.com"));
    EXPECT_TRUE(match("*.example.com:443", "http://a.example.com:443"));
}

TEST(origin_pattern, never_matches_a_malformed_origin)
{
    const auto exact = origin_pattern::parse("https://a.example");
    const auto below = origin_pattern::parse("*.example");

    for (const std::string_view origin : malformed_origins) {
        EXPECT_FALSE(exact->matches(origin)) << origin;
        EXPECT_FALSE(below->matches(origin)) << origin;
    }
    for (const std::string_view origin : program_origins) {
        EXPECT_FALSE(exact->matches(origin)) << origin;
        EXPECT_FALSE(below->matches(origin)) << origin;
    }
}

TEST(program_pattern, matches_its_own_origin)
{
    for (const std::string_view each : program_origins) {
        EXPECT_TRUE(match(each, each)) << each;

        for (const std::string_view other : program_origins) {
            EXPECT_EQ(match(each, other), each == other) << each << other;
        }
    }
    EXPECT_TRUE(match("capacitor://localhost", "Capacitor://localhost"));
    EXPECT_TRUE(match("moz-extension://0f8fad5b-d9cb-469f-a165-70867728950e",
                      "moz-extension://0f8fad5b-d9cb-469f-a165-70867728950e"));
    EXPECT_TRUE(match("a+b.c-1://host:8080", "a+b.c-1://host:8080"));
}

TEST(program_pattern, has_no_default_port)
{
    EXPECT_FALSE(match("capacitor://localhost", "capacitor://localhost:80"));
    EXPECT_FALSE(match("capacitor://localhost", "capacitor://localhost:443"));
    EXPECT_FALSE(match("capacitor://localhost:80", "capacitor://localhost"));
}

TEST(program_pattern, matches_no_other_scheme)
{
    for (const char *origin :
         {"http://localhost", "https://localhost", "capacitors://localhost",
          "apacitor://localhost", "null", "file://"}) {
        EXPECT_FALSE(match("capacitor://localhost", origin)) << origin;
    }
}

TEST(null_pattern, matches_null_alone)
{
    for (const std::string_view origin : malformed_origins) {
        EXPECT_FALSE(match("null", origin)) << origin;
    }
    EXPECT_FALSE(match("null", "https://null"));
    EXPECT_FALSE(match("https://null", "null"));
    EXPECT_FALSE(match("*.null", "null"));
}

TEST(origin_pattern, is_refused_where_it_could_match_nothing)
{
    for (const std::string_view text : malformed_origins) {
        EXPECT_NE(why_not(text), "") << text;
    }
    for (const char *text : {"*",
                             "*.",
                             "*..",
                             "*.*",
                             "*.*.com",
                             "a.*.com",
                             "*a.com",
                             "**.a.com",
                             "*.a.com/",
                             "*.a.com:",
                             "*.a.com:x",
                             "*.a..com",
                             "*.[::1]",
                             "*.1",
                             "*.0.0.1",
                             "*.127.0.0.1",
                             "*.127.0.0.1.",
                             "*.\xC3\xA4.de",
                             "https://*",
                             "https://*.",
                             "https://*.*",
                             "https://*.*.com",
                             "https://a.*.com",
                             "https://*a.com",
                             "https://*.a.com/",
                             "https://*.127.0.0.1",
                             "https://*.[::1]",
                             "://*.a.com",
                             "wss://*.a.com",
                             "file://*",
                             "any",
                             "same",
                             "~a"}) {
        EXPECT_NE(why_not(text), "") << text;
    }
}

TEST(origin_pattern, gives_the_reason_of_its_refusal)
{
    EXPECT_EQ(why_not("a.example"),
              "expected scheme://host[:port], scheme://*.host[:port], "
              "*.host[:port] or null");
    EXPECT_EQ(why_not("https://*a.example"), why_not("a.example"));
    EXPECT_EQ(why_not("ws://a.example"),
              "an origin has the scheme of the page, https or http, not wss "
              "or ws");
    EXPECT_EQ(why_not("WSS://a.example"), why_not("ws://a.example"));
    EXPECT_EQ(why_not("my_app://a.example"),
              "a scheme is a letter, then letters, digits, +, - or .");
    EXPECT_EQ(why_not("https://a b"),
              "the host must be a name or an IPv6 address in brackets");
    EXPECT_EQ(why_not("https://\xC3\xA4.example"),
              "a host with non-ASCII letters must be written in its xn-- "
              "form");
    EXPECT_EQ(why_not("*.a.example:65536"),
              "the port must be a number from 1 to 65535");
    EXPECT_EQ(why_not("https://a.example/"),
              "nothing may follow the host and port, not even /");
    EXPECT_EQ(why_not("*.127.0.0.1"),
              "*. must be followed by a name, not by an address");
}

TEST(origin_pattern, leaves_the_reason_alone_when_legal)
{
    std::string_view reason = "untouched";
    EXPECT_TRUE(origin_pattern::parse("*.a.example:8443", &reason));
    EXPECT_EQ(reason, "untouched");
    EXPECT_TRUE(origin_pattern::parse("*.1a", &reason));
    EXPECT_EQ(reason, "untouched");
}
