// The JSON objects of rooms.v1.json.
#include "handlers/object_scanner.hpp"
#include "handlers/rooms/rooms_json.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace json = websocket::handlers::rooms_json;
using json::verb;
using websocket::handlers::object_scanner;

using names = std::vector<std::string>;

std::string times(std::string_view part, std::size_t count)
{
    std::string text;

    while (count-- != 0) {
        text += part;
    }

    return text;
}

// Notes the members, and stores the strings whose names begin with "s".
class noted_members final : public object_scanner::members {
public:
    std::string *target(std::string_view name) override
    {
        return name.starts_with("s") ? &value_ : nullptr;
    }

    void found(std::string_view name, std::string_view value,
               bool is_string) override
    {
        noted.append(name).append("=").append(value);
        noted += is_string ? "!" : "";
        noted += is_string && name.starts_with("s") ? value_ : "";
        noted += ';';
    }

    std::string noted;

private:
    std::string value_;
};

// The members of the text; "not JSON", or "no object".
std::string scan(std::string_view text)
{
    noted_members to;
    object_scanner document(text, to);

    if (!document.scan()) {
        return "not JSON";
    }

    return document.is_object() ? to.noted : "no object";
}

TEST(ObjectScanner, MembersAreReportedInTheirOrder)
{
    EXPECT_EQ(
        scan(R"({"s":"a\nb","x":"c\n","n":-1.5e3,"t":true,"o":{"s":"in"},)"
             R"("a":[{"s":[]},2 ] , "s2" : "" })"),
        "s=\"a\\nb\"!a\nb;x=\"c\\n\"!;n=-1.5e3;t=true;o={\"s\":\"in\"};"
        "a=[{\"s\":[]},2 ];s2=\"\"!;");
    EXPECT_EQ(scan(" {} "), "");
    EXPECT_EQ(scan("\xEF\xBB\xBF{\"a\":{}}"), "a={};");
    EXPECT_EQ(scan(R"({"a":1,"a":2})"), "a=1;a=2;");
}

TEST(ObjectScanner, OtherDocumentsAreNoObjects)
{
    for (const std::string_view text :
         {"[]", "[{\"a\":1}]", "1", "\"{}\"", "null", " true "}) {
        EXPECT_EQ(scan(text), "no object") << text;
    }
}

TEST(ObjectScanner, WrongTextIsRefused)
{
    for (const std::string_view text : {"",
                                        " ",
                                        "{",
                                        "}",
                                        "{]",
                                        "[}",
                                        "{}{}",
                                        "{},",
                                        "{\"a\"}",
                                        "{\"a\":}",
                                        "{\"a\":1,}",
                                        "{,}",
                                        "{a:1}",
                                        "{\"a\":1 \"b\":2}",
                                        "{\"a\":01}",
                                        "{\"a\":\"\t\"}",
                                        "{\"a\":nul}",
                                        "[1,]",
                                        "{1:2}",
                                        "{\"a\":'b'}",
                                        "\xEF\xBB{}",
                                        "{}\xEF\xBB\xBF"}) {
        EXPECT_EQ(scan(text), "not JSON") << text;
    }
}

TEST(ObjectScanner, DepthHasNoLimit)
{
    const std::string deep = times("[", 100000) + times("]", 100000);

    EXPECT_EQ(scan("{\"a\":" + deep + "}"), "a=" + deep + ";");
    EXPECT_EQ(scan("{\"a\":" + deep), "not JSON");
    EXPECT_EQ(scan(times("{\"a\":", 100000)), "not JSON");
}

// Requests

TEST(RoomsJson, SubscribeIsRead)
{
    const json::request read = json::parse(
        R"( {"subscribe" : [ "a" , "\u20ac\"", "" ], "since":{"a":"1-2","b":""},)"
        R"("token":"t","ref":[ 1 ],"more":{"subscribe":["c"]}} )");

    EXPECT_EQ(read.error, "");
    EXPECT_EQ(read.asks, verb::subscribe);
    EXPECT_EQ(read.names, (names{"a", "\xE2\x82\xAC\"", ""}));
    EXPECT_EQ(read.since.find("a")->second, "1-2");
    EXPECT_EQ(read.since.find("b")->second, "");
    EXPECT_EQ(read.since.size(), 2U);
    EXPECT_EQ(read.token, "t");
    EXPECT_EQ(read.ref, "[ 1 ]");
}

TEST(RoomsJson, ListsMayBeEmpty)
{
    const json::request read =
        json::parse(R"({"unsubscribe":[ ],"since":{ }})");

    EXPECT_EQ(read.asks, verb::unsubscribe);
    EXPECT_TRUE(read.names.empty());
    EXPECT_TRUE(read.since.empty());
    EXPECT_EQ(read.error, "");
}

TEST(RoomsJson, LastIdOfANameCounts)
{
    const json::request read =
        json::parse(R"({"subscribe":["a"],"since":{"a":"1-1","a":"1-2"},)"
                    R"("since":{"b":"1-3"}})");

    EXPECT_EQ(read.since.find("a")->second, "1-2");
    EXPECT_EQ(read.since.find("b")->second, "1-3");
}

TEST(RoomsJson, ListsAreLimited)
{
    const std::string part = "\"" + std::string(30, 'x') + "\",";
    const std::string list = "[" + times(part, 1985) + "\"\"]";

    EXPECT_LE(list.size(), 64U * 1024);
    EXPECT_EQ(json::parse("{\"subscribe\":" + list + "}").names.size(), 1986U);

    const std::string longer = "[" + times(part, 1986) + "\"\"]";

    EXPECT_GT(longer.size(), 64U * 1024);
    EXPECT_EQ(json::parse("{\"subscribe\":" + longer + "}").error,
              "subscribe is not a list of names, of at most 64 KB");
    EXPECT_EQ(json::parse("{\"subscribe\":[],\"since\":{\"a\":\"" +
                          std::string(64 * 1024, 'x') + "\"}}")
                  .error,
              "since is not an object with ids, of at most 64 KB");
}

TEST(RoomsJson, RepeatedListsAreLimitedTogether)
{
    const std::string half = std::string(40'000, 'x');
    const json::request ids =
        json::parse(R"({"since":{"a":")" + half + R"("},"since":{"b":")" +
                    half + R"("},"subscribe":["a"]})");

    EXPECT_EQ(ids.error, "since is not an object with ids, of at most 64 KB");
    EXPECT_EQ(ids.since.count("b"), 0U);

    const json::request names =
        json::parse(R"({"subscribe":[")" + half + R"("],"unsubscribe":[")" +
                    half + R"("]})");

    EXPECT_EQ(names.names.size(), 1U);
    EXPECT_EQ(json::parse(R"({"since":{"a":"1-1"},"since":{"b":"1-2"},)"
                          R"("subscribe":["a","b"]})")
                  .since.size(),
              2U);
}

TEST(RoomsJson, WrongListsAreRefused)
{
    for (const std::string_view list :
         {"1", "null", "\"a\"", "{}", "[1]", "[[\"a\"]]", "[\"a\",null]",
          "[{\"a\":\"b\"}]", "[\"a\",[]]"}) {
        for (const std::string_view name : {"subscribe", "unsubscribe"}) {
            const std::string text = "{\"" + std::string(name) +
                                     "\":" + std::string(list) + ",\"ref\":1}";

            EXPECT_EQ(json::parse(text).error,
                      std::string(name) +
                          " is not a list of names, of at most 64 KB")
                << text;
            EXPECT_EQ(json::parse(text).ref, "1");
        }
    }

    for (const std::string_view ids :
         {"1", "null", "[]", "\"1-1\"", R"({"a":1})", R"({"a":{"b":"c"}})",
          R"({"a":"1-1","b":[]})"}) {
        EXPECT_EQ(
            json::parse("{\"subscribe\":[],\"since\":" + std::string(ids) + "}")
                .error,
            "since is not an object with ids, of at most 64 KB")
            << ids;
    }
}

TEST(RoomsJson, PublishIsRead)
{
    const json::request text =
        json::parse(R"({"data":"a\u0000b","publish":"r\u0041"})");

    EXPECT_EQ(text.asks, verb::publish);
    EXPECT_EQ(text.room, "rA");
    EXPECT_EQ(text.data, std::string("a\0b", 3));
    EXPECT_EQ(text.kind, websocket::opcode::text);

    const json::request binary =
        json::parse(R"({"publish":"","base64":"\u0041AEC\/w=="})");

    EXPECT_EQ(binary.data, std::string("\0\1\2\xff", 4));
    EXPECT_EQ(binary.kind, websocket::opcode::binary);
    EXPECT_EQ(json::parse(R"({"publish":"","base64":""})").error, "");
}

TEST(RoomsJson, WrongBase64IsRefused)
{
    for (const std::string_view text :
         {"A", "AA", "AAA", "AA=A", "=AAA", "A===", "====", "AA==AAAA", "AA-_",
          "AA A", " AAAA", "AAAA ", "AAA=A", "AA==="}) {
        EXPECT_EQ(json::parse("{\"publish\":\"a\",\"base64\":\"" +
                              std::string(text) + "\"}")
                      .error,
                  "base64 is not valid")
            << text;
    }
}

TEST(RoomsJson, FirstErrorIsReported)
{
    EXPECT_EQ(json::parse(R"({"publish":1,"subscribe":2})").error,
              "publish is not a string");
    EXPECT_EQ(json::parse(R"({"ping":1,"ping":1})").error,
              "more than one request");
    EXPECT_EQ(json::parse(R"({"data":"x"})").error,
              "no request: subscribe, unsubscribe, publish, presence, token or "
              "ping");
    EXPECT_EQ(json::parse(R"({"publish":"a","data":"","data":""})").error,
              "both data and base64");
    EXPECT_EQ(json::parse(R"({"token":1})").error, "token is not a string");
    EXPECT_EQ(json::parse(R"({"presence":[]})").error,
              "presence is not a string");
}

TEST(RoomsJson, TokenAloneIsARequest)
{
    EXPECT_EQ(json::parse(R"({"token":"a"})").asks, verb::token);
    EXPECT_EQ(json::parse(R"({"token":"a","ping":{}})").asks, verb::ping);
}

// Answers

TEST(RoomsJson, AnswerToSubscribe)
{
    json::subscribed answer;

    EXPECT_EQ(answer.text(""),
              R"({"type":"subscribed","rooms":{},"refused":{}})");
    answer.add("\"a\"", {1, 2}, 3, true);
    answer.add("\"b\"", {}, 0, false);
    answer.refuse("\"c\"", "no \"c\"");
    EXPECT_EQ(answer.text("{}"),
              R"({"type":"subscribed","ref":{},"rooms":{"a":{"last":"1-2",)"
              R"("clients":3,"recovered":true},"b":{"last":"0-0","clients":0,)"
              R"("recovered":false}},"refused":{"c":"no \"c\""}})");
}

TEST(RoomsJson, NamesAreEscaped)
{
    EXPECT_EQ(json::unsubscribed("1", {"a\"", "\n", "\xff"}),
              "{\"type\":\"unsubscribed\",\"ref\":1,\"rooms\":[\"a\\\"\","
              "\"\\n\",\"\xEF\xBF\xBD\"]}");
    EXPECT_EQ(json::unsubscribed("", {}),
              R"({"type":"unsubscribed","rooms":[]})");
    EXPECT_EQ(json::error("", "\"", "\\"),
              R"({"type":"error","room":"\"","message":"\\"})");
}

} // namespace
