// The subprotocols offered in an opening handshake, and the server's choice.
#include "handshake_requests.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

using namespace websocket::protocol;
using enum handshake_error;

namespace {

handshake_error check_offer(std::string offer)
{
    return check_with("Sec-WebSocket-Protocol", std::move(offer));
}

std::string names(int first, int last)
{
    std::string list;
    for (int i = first; i <= last; ++i) {
        list += "name" + std::to_string(i) + ",";
    }
    return list;
}

std::string select(const request &from, std::vector<std::string_view> preferred)
{
    return std::string(from.read().select_subprotocol(preferred));
}

} // namespace

TEST(subprotocols, are_tokens_that_all_differ)
{
    for (const char *offer : {"chat", "a, b", "a,,b,", "chat, Chat",
                              "v10.stomp", "room.v1.json", "!#$%&'*+-.^_`|~"}) {
        EXPECT_EQ(check_offer(offer), none) << offer;
    }
    for (const char *offer : {"a b", "a, a", "a,b,a", "a;b", "\"a\"", "a=b",
                              "a/b", "\xC3\xA4", "a, b\x7F", "a@b", "{a}"}) {
        EXPECT_EQ(check_offer(offer), subprotocol_invalid) << offer;
    }
}

TEST(subprotocols, must_not_be_an_empty_list)
{
    for (const char *offer : {"", " ", ",", " , ,"}) {
        EXPECT_EQ(check_offer(offer), subprotocol_invalid) << offer;
    }
}

TEST(subprotocols, of_several_fields_are_one_list)
{
    request repeated;
    repeated.add("Sec-WebSocket-Protocol", "a, b");
    repeated.add("Sec-WebSocket-Protocol", "");
    repeated.add("sec-websocket-protocol", "c");
    EXPECT_EQ(repeated.check(), none);
    EXPECT_TRUE(repeated.read().offers_subprotocol("a"));
    EXPECT_TRUE(repeated.read().offers_subprotocol("c"));

    repeated.add("Sec-WebSocket-Protocol", "b");
    EXPECT_EQ(repeated.check(), subprotocol_invalid);
}

TEST(subprotocols, are_limited_to_8_fields)
{
    request many;
    for (int i = 1; i <= 8; ++i) {
        many.add("Sec-WebSocket-Protocol", names(i, i));
    }
    EXPECT_EQ(many.check(), none);
    EXPECT_TRUE(many.read().offers_subprotocol("name8"));

    many.add("Sec-WebSocket-Protocol", names(9, 9));
    EXPECT_EQ(many.check(), subprotocol_invalid);
    for (int i = 0; i < 5000; ++i) {
        many.add("Sec-WebSocket-Protocol", "x");
    }
    EXPECT_EQ(many.check(), subprotocol_invalid);
}

TEST(subprotocols, are_limited_to_64_names)
{
    EXPECT_EQ(check_offer(names(1, 64)), none);
    EXPECT_EQ(check_offer(names(1, 65)), subprotocol_invalid);
    EXPECT_EQ(check_offer(names(1, 64) + ",,,"), none);
    EXPECT_EQ(check_offer(names(1, 10000)), subprotocol_invalid);

    request split;
    split.add("Sec-WebSocket-Protocol", names(1, 32));
    split.add("Sec-WebSocket-Protocol", names(33, 64));
    EXPECT_EQ(split.check(), none);
    split.add("Sec-WebSocket-Protocol", names(65, 65));
    EXPECT_EQ(split.check(), subprotocol_invalid);
}

TEST(select_subprotocol, follows_the_order_of_the_server)
{
    request client;
    client.add("Sec-WebSocket-Protocol", "c, b");
    client.add("Sec-WebSocket-Protocol", "a");

    EXPECT_EQ(select(client, {"a", "b", "c"}), "a");
    EXPECT_EQ(select(client, {"b", "a", "c"}), "b");
    EXPECT_EQ(select(client, {"x", "c", "b"}), "c");
}

TEST(select_subprotocol, answers_nothing_that_was_not_offered)
{
    request client;
    EXPECT_EQ(select(client, {"a"}), "");

    client.add("Sec-WebSocket-Protocol", "chat, superchat");
    EXPECT_EQ(select(client, {}), "");
    EXPECT_EQ(select(client, {"Chat", "super", "chats", ""}), "");
}

TEST(select_subprotocol, returns_the_view_of_the_server)
{
    static constexpr std::array<std::string_view, 2> preferred{"a", "b"};
    std::string_view selected;
    {
        request client;
        client.add("Sec-WebSocket-Protocol", "b");
        selected = client.read().select_subprotocol(preferred);
    }
    EXPECT_EQ(selected.data(), preferred[1].data());
}

TEST(offers_subprotocol, compares_whole_names_with_case)
{
    request client;
    client.add("Sec-WebSocket-Protocol", "room.v1.json, chat");
    const opening_handshake handshake = client.read();

    EXPECT_TRUE(handshake.offers_subprotocol("room.v1.json"));
    EXPECT_TRUE(handshake.offers_subprotocol("chat"));
    EXPECT_FALSE(handshake.offers_subprotocol("CHAT"));
    EXPECT_FALSE(handshake.offers_subprotocol("room"));
    EXPECT_FALSE(handshake.offers_subprotocol(""));
}
