// The opening handshake: each rule with a request that follows it and one that
// breaks it.
#include "handshake_requests.hpp"

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

using namespace websocket::protocol;
using enum handshake_error;

namespace {

handshake_error check_key(std::string key)
{
    return check_with("Sec-WebSocket-Key", std::move(key));
}

std::string accept(std::string_view key)
{
    std::array<char, 28> answer;
    return accept_key(key, answer) ? std::string(answer.data(), answer.size())
                                   : "";
}

} // namespace

TEST(handshake, accepts_the_request_of_the_rfc)
{
    request sample;
    sample.add("Origin", "http://example.com")
        .add("Sec-WebSocket-Protocol", "chat, superchat");

    EXPECT_EQ(sample.check(), none);
    EXPECT_EQ(sample.read().key(), sample_key);
}

TEST(handshake, refuses_every_method_but_get)
{
    for (const char *method : {"POST", "HEAD", "get", "GETS", "GE", ""}) {
        EXPECT_EQ(request().check(method), method_not_get) << method;
    }
}

TEST(handshake, needs_http_1_1)
{
    EXPECT_EQ(request().check("GET", 9), http_version_too_old);
    EXPECT_EQ(request().check("GET", 1000), http_version_too_old);
    EXPECT_EQ(request().check("GET", 1001), none);
    EXPECT_EQ(request().check("GET", 1002), none);
}

TEST(handshake, compares_header_names_ignoring_case)
{
    request upper;
    for (const char *name : {"Upgrade", "Connection", "Sec-WebSocket-Key",
                             "Sec-WebSocket-Version"}) {
        upper.remove(name);
    }
    upper.add("UPGRADE", "websocket")
        .add("connection", "upgrade")
        .add("sec-websocket-key", std::string(sample_key))
        .add("SEC-WEBSOCKET-VERSION", "13");
    EXPECT_EQ(upper.check(), none);
}

TEST(handshake, ignores_other_headers)
{
    request other;
    other.add("Sec-WebSocket-Keys", "x")
        .add("Sec-WebSocket-Extensions", "permessage-deflate")
        .add("Sec-WebSocket-Extensions", "\"")
        .add("", "")
        .add("X-Upgrade", "h2c");
    EXPECT_EQ(other.check(), none);
}

TEST(upgrade, takes_the_token_in_any_case_and_place)
{
    for (const char *value :
         {"websocket", "WebSocket", "WEBSOCKET", " websocket\t",
          "h2c, websocket", "websocket,h2c", "foo/2,,websocket"}) {
        EXPECT_EQ(check_with("Upgrade", value), none) << value;
    }
}

TEST(upgrade, refuses_all_that_is_not_the_whole_token)
{
    for (const char *value :
         {"", "h2c", "xwebsocket", "websockets", "websocket/13", "websocket 13",
          "web socket", "\"websocket\"", "websocket;q=1"}) {
        EXPECT_EQ(check_with("Upgrade", value), upgrade_missing) << value;
    }
    EXPECT_EQ(request().remove("Upgrade").check(), upgrade_missing);
}

TEST(upgrade, may_be_spread_over_several_fields)
{
    request repeated;
    repeated.set("Upgrade", "h2c").add("Upgrade", "websocket");
    EXPECT_EQ(repeated.check(), none);
    repeated.add("Upgrade", "foo");
    EXPECT_EQ(repeated.check(), none);
}

TEST(connection, takes_the_token_in_any_case_and_place)
{
    for (const char *value : {"upgrade", "Upgrade", "keep-alive, Upgrade",
                              "UPGRADE,close", "\tkeep-alive\t,\tupgrade "}) {
        EXPECT_EQ(check_with("Connection", value), none) << value;
    }
}

TEST(connection, refuses_all_that_is_not_the_whole_token)
{
    for (const char *value :
         {"", "keep-alive", "upgraded", "no-upgrade", "keep-alive upgrade"}) {
        EXPECT_EQ(check_with("Connection", value), connection_missing) << value;
    }
    EXPECT_EQ(request().remove("Connection").check(), connection_missing);
}

TEST(connection, may_be_spread_over_several_fields)
{
    request repeated;
    repeated.set("Connection", "keep-alive").add("Connection", "Upgrade");
    EXPECT_EQ(repeated.check(), none);
    repeated.add("Connection", "x");
    EXPECT_EQ(repeated.check(), none);
}

TEST(version, takes_13_and_nothing_else)
{
    EXPECT_EQ(check_with("Sec-WebSocket-Version", " 13\t"), none);

    for (const char *value : {"", "8", "12", "14", "013", "13, 8", "8, 13",
                              "13,", "+13", "13.0", "1 3", "0xd", "130"}) {
        EXPECT_EQ(check_with("Sec-WebSocket-Version", value),
                  version_unsupported)
            << value;
    }
}

TEST(version, must_stand_exactly_once)
{
    request absent;
    absent.remove("Sec-WebSocket-Version");
    EXPECT_EQ(absent.check(), version_missing);

    for (const char *second : {"13", "8", ""}) {
        request repeated;
        repeated.add("Sec-WebSocket-Version", second);
        EXPECT_EQ(repeated.check(), version_repeated) << second;
    }
}

TEST(key, takes_canonical_base64_of_16_bytes)
{
    for (const char *key :
         {"dGhlIHNhbXBsZSBub25jZQ==", "AAAAAAAAAAAAAAAAAAAAAA==",
          "/////////////////////w==", "+++++++++++++++++++++A==",
          "abcdefghijklmnopqrstug==", "vwxyz0123456789+/ABCDQ==",
          "EFGHIJKLMNOPQRSTUVWXYw=="}) {
        EXPECT_EQ(check_key(key), none) << key;
    }
    EXPECT_EQ(check_key(" \tdGhlIHNhbXBsZSBub25jZQ== "), none);
}

TEST(key, must_not_carry_bits_in_its_padding)
{
    const std::string_view digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (std::size_t value = 0; value < digits.size(); ++value) {
        std::string key(sample_key);
        key[21] = digits[value];
        EXPECT_EQ(check_key(key), value % 16 == 0 ? none : key_invalid) << key;
    }
}

TEST(key, refuses_other_lengths)
{
    for (const char *key :
         {"", "=", "==", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ=",
          "dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25jZGE=",
          "dGhlIHNhbXBsZSBub25jZGFh", "dGhlIHNhbXBsZSBub25j",
          "dGhlIHNhbXBsZSBub25jZGFhYQ==", "dGhlIHNhbXBsZSBub2====",
          "AAAAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAA==="}) {
        EXPECT_EQ(check_key(key), key_invalid) << key;
    }
}

TEST(key, refuses_every_byte_outside_the_alphabet_in_every_place)
{
    for (std::size_t index = 0; index < sample_key.size(); ++index) {
        for (const char byte : {' ', '\t', '-', '_', '=', ',', '.', '@', '[',
                                '`', '{', ':', '\0', '\x80', '\xFF'}) {
            std::string key(sample_key);
            if (key[index] == byte) {
                continue;
            }
            key[index] = byte;
            // White space at the ends is trimmed, which makes the key too
            // short.
            EXPECT_EQ(check_key(key), key_invalid)
                << index << ' ' << static_cast<int>(byte);
        }
    }
}

TEST(key, must_stand_exactly_once)
{
    request absent;
    absent.remove("Sec-WebSocket-Key");
    EXPECT_EQ(absent.check(), key_missing);

    for (const char *second : {"dGhlIHNhbXBsZSBub25jZQ==", "x", ""}) {
        request repeated;
        repeated.add("sec-websocket-key", second);
        EXPECT_EQ(repeated.check(), key_repeated) << second;
        EXPECT_EQ(repeated.read().key(), sample_key);
    }
}

TEST(handshake, reports_the_first_broken_rule)
{
    // All rules are broken at first; then one after the other is followed.
    request wrong;
    wrong.set("Upgrade", "x").set("Connection", "x");
    wrong.set("Sec-WebSocket-Version", "8").set("Sec-WebSocket-Key", "x");
    wrong.add("Sec-WebSocket-Protocol", "a b");

    EXPECT_EQ(wrong.check("PUT", 1000), method_not_get);
    EXPECT_EQ(wrong.check("GET", 1000), http_version_too_old);
    EXPECT_EQ(wrong.check(), upgrade_missing);
    wrong.set("Upgrade", "websocket");
    EXPECT_EQ(wrong.check(), connection_missing);
    wrong.set("Connection", "upgrade");
    EXPECT_EQ(wrong.check(), version_unsupported);
    wrong.set("Sec-WebSocket-Version", "13");
    EXPECT_EQ(wrong.check(), key_invalid);
    wrong.set("Sec-WebSocket-Key", std::string(sample_key));
    EXPECT_EQ(wrong.check(), subprotocol_invalid);
    wrong.set("Sec-WebSocket-Protocol", "a, b");
    EXPECT_EQ(wrong.check(), none);
}

TEST(origin_header, differs_from_an_absent_one)
{
    EXPECT_FALSE(request().read().has_origin());
    EXPECT_EQ(request().read().origin(), "");

    request empty;
    empty.add("Origin", "");
    EXPECT_TRUE(empty.read().has_origin());
    EXPECT_FALSE(empty.read().origin_repeated());

    request one;
    one.add("ORIGIN", " https://a.example ");
    EXPECT_TRUE(one.read().has_origin());
    EXPECT_EQ(one.read().origin(), "https://a.example");
    EXPECT_FALSE(one.read().origin_repeated());
    EXPECT_EQ(one.check(), none);
}

TEST(origin_header, repeated_keeps_the_first_and_is_reported)
{
    request two;
    two.add("Origin", "https://a.example").add("Origin", "https://b.example");
    EXPECT_TRUE(two.read().origin_repeated());
    EXPECT_EQ(two.read().origin(), "https://a.example");

    request empty_first;
    empty_first.add("Origin", "").add("Origin", "https://b.example");
    EXPECT_TRUE(empty_first.read().origin_repeated());
    EXPECT_EQ(empty_first.read().origin(), "");
}

TEST(handshake_error, maps_to_a_status_a_phrase_and_the_version)
{
    const std::map<handshake_error, unsigned> statuses{
        {none, 101},
        {method_not_get, 405},
        {http_version_too_old, 426},
        {upgrade_missing, 426},
        {connection_missing, 426},
        {version_missing, 426},
        {version_unsupported, 426},
        {version_repeated, 400},
        {key_missing, 400},
        {key_repeated, 400},
        {key_invalid, 400},
        {subprotocol_invalid, 400},
    };
    std::map<std::string_view, handshake_error> phrases;

    for (const auto &[error, status] : statuses) {
        EXPECT_EQ(http_status(error), status) << describe(error);
        EXPECT_EQ(asks_for_version(error),
                  error == version_missing || error == version_unsupported);
        EXPECT_TRUE(phrases.emplace(describe(error), error).second);
        EXPECT_GT(describe(error).size(), 10u);
    }
    EXPECT_EQ(describe(key_invalid),
              "Sec-WebSocket-Key is not base64 of 16 bytes");
}

TEST(handshake, keeps_a_small_state)
{
    EXPECT_LE(sizeof(opening_handshake), 208u);
}

TEST(accept_key, answers_as_the_rfc_does)
{
    EXPECT_EQ(accept("dGhlIHNhbXBsZSBub25jZQ=="),
              "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    EXPECT_EQ(accept("AAAAAAAAAAAAAAAAAAAAAA=="),
              "ICX+Yqv66kxgM0FcWaLWlFLwTAI=");
    EXPECT_EQ(accept("/////////////////////w=="),
              "XXpj4jYzLM2yUE0C7TIgMwTQh2g=");
}

TEST(accept_key, refuses_a_key_of_another_length)
{
    EXPECT_EQ(accept(""), "");
    EXPECT_EQ(accept("dGhlIHNhbXBsZSBub25jZQ="), "");
    EXPECT_EQ(accept("dGhlIHNhbXBsZSBub25jZQ==="), "");
    EXPECT_EQ(accept(std::string(10000, 'A')), "");
}
