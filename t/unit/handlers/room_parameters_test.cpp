// The parameters of the handler `room`.
#include "handlers/room_parameters.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

using websocket::handlers::room_parameters;

namespace {

TEST(RoomParameters, HasDefaults)
{
    const room_parameters given;

    EXPECT_EQ(given.history, 0U);
    EXPECT_EQ(given.history_time, 0U);
    EXPECT_FALSE(given.presence);
    EXPECT_TRUE(given.publish);
    EXPECT_TRUE(given.self);
    EXPECT_EQ(given.check(), "");
}

TEST(RoomParameters, EachIsSet)
{
    room_parameters given;

    EXPECT_EQ(given.set("history", "18446744073709551615"), "");
    EXPECT_EQ(given.set("history_time", "5m"), "");
    EXPECT_EQ(given.set("presence", "on"), "");
    EXPECT_EQ(given.set("publish", "off"), "");
    EXPECT_EQ(given.set("self", "off"), "");
    EXPECT_EQ(given.check(), "");

    EXPECT_EQ(given.history, std::numeric_limits<std::uint64_t>::max());
    EXPECT_EQ(given.history_time, 300000U);
    EXPECT_TRUE(given.presence);
    EXPECT_FALSE(given.publish);
    EXPECT_FALSE(given.self);
}

struct time_case {
    std::string_view text;
    std::uint64_t milliseconds; // 0: refused
};

class RoomTime : public testing::TestWithParam<time_case> {};

TEST_P(RoomTime, IsReadAsNginxDoes)
{
    room_parameters given;
    const std::string result = given.set("history_time", GetParam().text);

    EXPECT_EQ(given.history_time, GetParam().milliseconds);
    EXPECT_EQ(result.empty(), GetParam().milliseconds != 0) << result;
}

constexpr std::uint64_t day = 24ULL * 60 * 60 * 1000;

INSTANTIATE_TEST_SUITE_P(
    Times, RoomTime,
    testing::Values(
        time_case{"1ms", 1}, time_case{"500ms", 500}, time_case{"30s", 30000},
        time_case{"30", 30000}, time_case{"5m", 300000},
        time_case{"1h", 3600000}, time_case{"1d", day},
        time_case{"1w", 7 * day}, time_case{"1M", 30 * day},
        time_case{"1y", 365 * day}, time_case{"1h30m", 5400000},
        time_case{"1m30", 90000}, time_case{"1y2M3w4d5h6m7s8ms", 38898367008},
        time_case{"0s1ms", 1}, time_case{"292471208y", 292471208 * (365 * day)},
        time_case{"292471209y", 0},
        time_case{"9223372036854775807ms", 9223372036854775807U},
        time_case{"9223372036854775808ms", 0},
        time_case{"18446744073709551616ms", 0}, time_case{"", 0},
        time_case{"0", 0}, time_case{"0s", 0}, time_case{"s", 0},
        time_case{"-1s", 0}, time_case{"+1s", 0}, time_case{"1S", 0},
        time_case{"1 s", 0}, time_case{"1s ", 0}, time_case{"1.5s", 0},
        time_case{"1m1h", 0}, time_case{"1s1s", 0}, time_case{"1ms1", 0},
        time_case{"1s1", 0}, time_case{"1min", 0}));

TEST(RoomParameters, ErrorNamesTheValidValues)
{
    room_parameters given;

    EXPECT_EQ(given.set("presence", "yes"),
              "\"presence\" takes \"on\" or \"off\", not \"yes\"");
    EXPECT_EQ(given.set("history", "5m"),
              "\"history\" takes a number of messages, not \"5m\"");
    EXPECT_EQ(given.set("history_time", "x"),
              "\"history_time\" takes a time like 30s, 5m, 1h, 1d or 500ms, "
              "larger than 0, not \"x\"");
    EXPECT_EQ(given.set("presence_grace", "2"), "");
    EXPECT_EQ(given.set("room", "x"),
              "unknown parameter \"room\"; available: history, history_time, "
              "presence, presence_grace, publish, self");
    EXPECT_EQ(given.set("", ""),
              "unknown parameter \"\"; available: history, history_time, "
              "presence, presence_grace, publish, self");
}

TEST(RoomParameters, RepeatedParameterIsRefused)
{
    room_parameters given;

    EXPECT_EQ(given.set("self", "on"), "");
    EXPECT_EQ(given.set("self", "on"), "\"self\" is given twice");
}

TEST(RoomParameters, TimeWithoutHistoryIsRefused)
{
    room_parameters given;

    EXPECT_EQ(given.set("history_time", "5m"), "");
    EXPECT_EQ(given.check(), "\"history_time\" requires \"history\", the "
                             "maximum number of messages");
    EXPECT_EQ(given.set("history", "0"), "");
    EXPECT_NE(given.check(), "");
}

// Of websocket_rooms

TEST(RoomParameters, PatternsHaveTwoMore)
{
    room_parameters given;

    EXPECT_EQ(given.set("*", "news.*"), "");
    EXPECT_FALSE(given.publish_open || given.needs_token);
    EXPECT_EQ(given.set("publish", "open"), "");
    EXPECT_EQ(given.set("access", "token"), "");
    EXPECT_TRUE(given.publish && given.publish_open && given.needs_token);
    EXPECT_EQ(given.set("access", "token"), "\"access\" is given twice");
}

TEST(RoomParameters, ValuesOfPatternsAreChecked)
{
    for (const std::string_view value : {"", "Open", "on ", "token"}) {
        room_parameters given;

        given.set("*", "a");
        EXPECT_EQ(given.set("publish", value),
                  "\"publish\" takes \"on\", \"off\" or \"open\", not \"" +
                      std::string(value) + "\"");
    }

    for (const std::string_view value : {"", "on", "Token", "open "}) {
        room_parameters given;

        given.set("*", "a");
        EXPECT_EQ(given.set("access", value),
                  "\"access\" takes \"open\" or \"token\", not \"" +
                      std::string(value) + "\"");
    }

    for (const std::string_view value : {"on", "off"}) {
        room_parameters given;

        given.set("*", "a");
        EXPECT_EQ(given.set("publish", value), "");
        EXPECT_EQ(given.publish, value == "on");
        EXPECT_FALSE(given.publish_open);
        EXPECT_EQ(given.set("access", "open"), "");
        EXPECT_FALSE(given.needs_token);
    }
}

TEST(RoomParameters, RoomsWithoutPatternHaveNeither)
{
    room_parameters given;

    EXPECT_EQ(given.set("publish", "open"),
              "\"publish\" takes \"on\" or \"off\", not \"open\"");
    EXPECT_EQ(given.set("access", "token"),
              "unknown parameter \"access\"; available: history, "
              "history_time, presence, presence_grace, publish, self");
}

} // namespace
