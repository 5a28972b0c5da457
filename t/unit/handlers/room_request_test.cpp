// Client messages of room.v1.json, compared with another JSON parser.
#include "handlers/room_json.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <ctime>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <string_view>

namespace json = websocket::handlers::room_json;

namespace {

bool is_json(std::string_view text)
{
    return json::parse(text).error != "not JSON";
}

constexpr std::array<std::string_view, 60> pieces{
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    " ",
    "\n",
    "\v",
    "\"data\"",
    "\"ref\"",
    "\"ping\"",
    "\"d\\u0061ta\"",
    "\"x\"",
    "1",
    "-",
    "0",
    "00",
    "-0.0e+0",
    "1.",
    ".5",
    "1e",
    "1E+2",
    "+1",
    "1e5",
    "1e308",
    "1e309",
    "1.7976931348623157e308",
    "1.7976931348623159e308",
    "0.001e311",
    "0.0001e312",
    "0.0002e312",
    "1e99999999999999999999",
    "-1e99999999999999999999",
    "0e99999999999999999999",
    "1e-99999999999999999999",
    "9999999999999999999999",
    "true",
    "false",
    "null",
    "nul",
    "NaN",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\"\\ude00\"",
    "\"\\ud83d\\u0041\"",
    "\"\\u00e9\\n\\/\\b\"",
    "\"\\q\"",
    "\"\\u12\"",
    "\"\\uD7FF\\uE000\\uFFFF\"",
    "\"\xC3\xA9\"",
    "\"\xFF\"",
    "\"\xE2\x82\"",
    "\xEF\xBB\xBF",
    "\"\x01\"",
    "\"\x7F\"",
    "\"",
    "\"a\\",
    R"({"data":"x","ref":[1, 2 ]})",
    R"({"a":{"data":"no"},"data":)",
};

TEST(RoomRequest, AcceptsTheJsonThatAnotherParserAccepts)
{
    std::minstd_rand random(1);
    std::size_t accepted = 0;

    for (int i = 0; i != 100000; i++) {
        std::string text;

        for (auto left = random() % 7 + 1; left != 0; left--) {
            text += pieces[random() % pieces.size()];
        }

        const bool expected = nlohmann::json::accept(text);

        accepted += expected ? 1 : 0;
        EXPECT_EQ(is_json(text), expected) << text;
    }

    EXPECT_GT(accepted, 1000U);
}

TEST(RoomRequest, LongNumbersAreCheckedByTheirValue)
{
    const std::string zeros(400, '0');

    EXPECT_TRUE(is_json("1" + zeros.substr(0, 308)));
    EXPECT_FALSE(is_json("1" + zeros.substr(0, 309)));
    EXPECT_FALSE(is_json("2" + zeros.substr(0, 308)));
    EXPECT_TRUE(is_json("1" + zeros + "e-100"));
    EXPECT_FALSE(is_json("1" + zeros + "e-91"));
    EXPECT_TRUE(is_json("0." + zeros + "1e709"));
    EXPECT_FALSE(is_json("0." + zeros + "1e710"));
    EXPECT_TRUE(is_json("0." + zeros + "e" + zeros + "999"));
}

template <class Work>
double cost(Work work)
{
    double least = std::numeric_limits<double>::max();

    for (int i = 0; i != 5; i++) {
        const std::clock_t began = std::clock();

        work();
        least = std::min(least, static_cast<double>(std::clock() - began));
    }

    return least;
}

TEST(RoomRequest, TokenIsReadWithoutDataOnly)
{
    const auto token = [](std::string_view text) {
        const json::request read = json::parse(text);

        return read.error.empty() ? read.token : read.error;
    };

    EXPECT_EQ(token(R"({"token":"a\u0062","ref":1})"), "ab");
    EXPECT_EQ(token(R"({"token":"a","token":"b"})"), "b");
    EXPECT_EQ(token(R"({"token":"a","data":"b"})"), "");
    EXPECT_EQ(token(R"({"token":"a","ping":1})"), "");
    EXPECT_EQ(token(R"({"token":"a","data":1})"), "data is not a string");
    EXPECT_EQ(token(R"({"token":""})"), "no data");
    EXPECT_EQ(token(R"({"token":1})"), "no data");
    EXPECT_EQ(token(R"({"x":{"token":"a"}})"), "no data");
    EXPECT_TRUE(json::parse(R"({"token":"a","ping":1})").ping);
}

// The parsing of one message delays the other clients of a worker.
TEST(RoomRequest, LargeOnesCostLittleMoreThanTheirPublishing)
{
    constexpr std::size_t size = 1 << 20;
    const std::string data(size, 'x');
    const websocket::message message{.kind = websocket::opcode::text,
                                     .id = {7, 8},
                                     .time = 9,
                                     .from = 10,
                                     .data = std::as_bytes(std::span(data))};
    const double publishing = cost(
        [&message] { EXPECT_FALSE(json::published_message(message).empty()); });

    for (const std::string &text :
         {"{\"data\":\"" + data + "\"}",
          "{\"data\":\"\",\"ref\":0." + std::string(size, '1') + "}"}) {
        EXPECT_LT(cost([&text] { EXPECT_TRUE(is_json(text)); }),
                  6 * publishing);
    }
}

} // namespace
