// The JSON objects of room.v1.json.
#include "handlers/room_json.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace json = websocket::handlers::room_json;

namespace {

websocket::message text_message(std::string_view text)
{
    return {.kind = websocket::opcode::text,
            .id = {7, 8},
            .time = 9,
            .from = 10,
            .data = std::as_bytes(std::span(text))};
}

std::string repeated(std::string_view part, std::size_t times)
{
    std::string result;

    while (times-- != 0) {
        result += part;
    }

    return result;
}

TEST(RoomJson, RequestIsRead)
{
    const json::request read =
        json::parse(R"({"data":"a\n\u20ac","ref":{"b":[1]},"more":[{}]})");

    EXPECT_EQ(read.data, "a\n\xE2\x82\xAC");
    EXPECT_EQ(read.ref, R"({"b":[1]})");
    EXPECT_EQ(read.error, "");
}

TEST(RoomJson, RefIsAPieceOfTheText)
{
    for (const std::string_view ref :
         {"0", "-0", "1.0e5", "12345678901234567890", "\"\\u0041\"", "null",
          "true", "[ 1 , 2 ]", "{\"ref\":{\"ref\":1}}", "\"}\"", "-1.5E-3",
          "9007199254740993", "\"\"", "[]", "{}"}) {
        for (const std::string_view after : {"}", " }", "\n}", ",\"x\":1}"}) {
            const std::string text =
                "{\"data\":\"\",\"ref\" : " + std::string(ref) +
                std::string(after);

            EXPECT_EQ(json::parse(text).ref, ref) << text;
            EXPECT_EQ(json::parse(text).error, "") << text;
        }
    }
}

TEST(RoomJson, LastOfTwinMembersCounts)
{
    const json::request read =
        json::parse(R"({"ref":[1],"data":5,"ref":2,"data":"x"})");

    EXPECT_EQ(read.data, "x");
    EXPECT_EQ(read.ref, "2");
    EXPECT_EQ(read.error, "");
}

TEST(RoomJson, WrongRequestsAreNamed)
{
    EXPECT_EQ(json::parse("").error, "not JSON");
    EXPECT_EQ(json::parse("{").error, "not JSON");
    EXPECT_EQ(json::parse(R"({"data":"x"}x)").error, "not JSON");
    EXPECT_EQ(json::parse("{\"data\":\"\xFF\"}").error, "not JSON");
    EXPECT_EQ(json::parse(R"({"data":1e400})").error, "not JSON");
    EXPECT_EQ(json::parse(R"({"data":"\uDC00"})").error, "not JSON");
    EXPECT_EQ(json::parse("5").error, "not an object");
    EXPECT_EQ(json::parse("\"data\"").error, "not an object");
    EXPECT_EQ(json::parse(R"([{"data":"x"}])").error, "not an object");
    EXPECT_EQ(json::parse("{}").error, "no data");
    EXPECT_EQ(json::parse(R"({"data":{}})").error, "data is not a string");
    EXPECT_EQ(json::parse(R"({"data":["x"]})").error, "data is not a string");
    EXPECT_EQ(json::parse(R"({"data":false})").error, "data is not a string");
    EXPECT_EQ(json::parse(R"({"data":-1.5})").error, "data is not a string");
}

TEST(RoomJson, RefOfAWrongRequestIsKnownIfItIsJson)
{
    EXPECT_EQ(json::parse(R"({"ref":5})").ref, "5");
    EXPECT_EQ(json::parse(R"({"ref":5,"data":1})").ref, "5");
    EXPECT_EQ(json::parse(R"({"ref":5,)").ref, "");
    EXPECT_EQ(json::parse(R"([{"ref":5}])").ref, "");
}

TEST(RoomJson, PingIsRead)
{
    for (const std::string_view value : {"1", "null", "{\"ping\":[]}"}) {
        const std::string text =
            "{\"ping\":" + std::string(value) + ",\"ref\":[2]}";
        const json::request read = json::parse(text);

        EXPECT_TRUE(read.ping) << text;
        EXPECT_EQ(read.ref, "[2]") << text;
        EXPECT_EQ(read.error, "") << text;
    }
}

TEST(RoomJson, RequestWithDataIsNoPing)
{
    const json::request read = json::parse(R"({"ping":1,"data":"x"})");

    EXPECT_FALSE(read.ping);
    EXPECT_EQ(read.data, "x");
    EXPECT_EQ(json::parse(R"({"ping":1,"data":1})").error,
              "data is not a string");
    EXPECT_FALSE(json::parse(R"({"ref":{"ping":1}})").ping);
    EXPECT_FALSE(json::parse(R"(["ping"])").ping);
    EXPECT_FALSE(json::parse(R"({"ping":1)").ping);
}

TEST(RoomJson, PongHasTheRef)
{
    EXPECT_EQ(json::pong("\"r\""), R"({"type":"pong","ref":"r"})");
    EXPECT_EQ(json::pong(""), R"({"type":"pong"})");
}

TEST(RoomJson, DepthCostsNoStack)
{
    const std::string open = repeated("[", 1000000);
    const std::string closed = open + repeated("]", 1000000);

    EXPECT_EQ(json::parse(open).error, "not JSON");
    EXPECT_EQ(json::parse(closed).error, "not an object");
    EXPECT_EQ(json::parse(repeated("{\"data\":", 1000000)).error, "not JSON");

    const json::request read =
        json::parse("{\"data\":\"x\",\"ref\":" + closed + "}");
    EXPECT_EQ(read.ref, closed);
    EXPECT_EQ(read.error, "");
}

TEST(RoomJson, WholeTextIsNeeded)
{
    const std::string_view text = R"({"data":"\u00e4","ref":[-1.5e3,true]})";

    for (std::size_t size = 0; size != text.size(); size++) {
        EXPECT_EQ(json::parse(text.substr(0, size)).error, "not JSON") << size;
    }

    EXPECT_EQ(json::parse(text).error, "");
}

TEST(RoomJson, MessageOfText)
{
    EXPECT_EQ(json::published_message(text_message("a\"\\\n\x01\x7F\xC3\xA4")),
              "{\"type\":\"message\",\"id\":\"7-8\",\"time\":9,\"from\":10,"
              "\"data\":\"a\\\"\\\\\\n\\u0001\x7F\xC3\xA4\"}");
}

TEST(RoomJson, MessageOfNobody)
{
    websocket::message given = text_message("");

    given.from = 0;
    EXPECT_EQ(json::published_message(given),
              R"({"type":"message","id":"7-8","time":9,"from":null,)"
              R"("data":""})");
}

TEST(RoomJson, TextComesBack)
{
    std::string all;

    for (char c = 0; c != 127; c++) {
        all += c;
    }

    const std::string result = json::published_message(text_message(all));
    const std::string data = result.substr(result.find("\"data\""));

    EXPECT_EQ(json::parse("{" + data).data, all);
}

TEST(RoomJson, MessageOfBytes)
{
    constexpr std::array<std::byte, 4> bytes{std::byte{0}, std::byte{255},
                                             std::byte{16}, std::byte{63}};
    constexpr std::array<std::string_view, 5> coded{"", "AA==", "AP8=", "AP8Q",
                                                    "AP8QPw=="};

    for (std::size_t size = 0; size != coded.size(); size++) {
        websocket::message given = text_message("");

        given.kind = websocket::opcode::binary;
        given.data = std::span(bytes).first(size);

        EXPECT_EQ(json::published_message(given),
                  R"({"type":"message","id":"7-8","time":9,"from":10,)"
                  R"("base64":")" +
                      std::string(coded[size]) + "\"}");
    }
}

TEST(RoomJson, LongBytesAreOneCode)
{
    const std::string zeros(1000000, '\0');
    websocket::message given = text_message(zeros);

    given.kind = websocket::opcode::binary;

    const std::string result = json::published_message(given);
    const std::size_t begin = result.find("\"base64\":\"") + 10;

    EXPECT_EQ(result.substr(begin), std::string(1333334, 'A') + "==\"}");
}

TEST(RoomJson, OtherObjects)
{
    EXPECT_EQ(json::welcome({.client = 5,
                             .room = json::quoted("a\"b\xFF"),
                             .last = {1, 0},
                             .clients = 2,
                             .recovered = true}),
              R"({"type":"welcome","client":5,"room":"a\"b)"
              "\xEF\xBF\xBD"
              R"(","last":"1-0","clients":2,"recovered":true})");
    EXPECT_EQ(json::presence("joined", 5, 6),
              R"({"type":"joined","client":5,"clients":6})");
    EXPECT_EQ(json::presence("left", 0, 6),
              R"({"type":"left","client":null,"clients":6})");
    EXPECT_EQ(json::published("[1]", {1, 2}),
              R"({"type":"published","ref":[1],"id":"1-2"})");
    EXPECT_EQ(json::error("", "no data"),
              R"({"type":"error","message":"no data"})");
    EXPECT_EQ(json::error("5", "no data"),
              R"({"type":"error","ref":5,"message":"no data"})");
}

} // namespace
