// Server-sent events of rooms, and lists of rooms.
#include "handlers/events/event_text.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace event_text = websocket::handlers::event_text;

using websocket::message_id;
using websocket::opcode;

namespace {

websocket::message text_message(std::string_view text)
{
    return {.kind = opcode::text,
            .id = {7, 8},
            .time = 9,
            .data = std::as_bytes(std::span(text))};
}

std::string data_of(std::string_view text)
{
    constexpr std::string_view before = "id: 7-8\ntime: 9\n";
    const std::string event = event_text::message(text_message(text));

    EXPECT_TRUE(event.starts_with(before)) << event;
    EXPECT_TRUE(event.ends_with("\n\n")) << event;
    return event.substr(before.size(), event.size() - before.size() - 1);
}

} // namespace

TEST(EventText, ObjectIsAnEventOfItsType)
{
    EXPECT_EQ(event_text::object(R"({"type":"gap","room":"a"})"),
              "event: gap\ndata: {\"type\":\"gap\",\"room\":\"a\"}\n\n");
    EXPECT_EQ(event_text::object(R"({"type":"welcome"})", "1-2"),
              "event: welcome\nid: 1-2\ndata: {\"type\":\"welcome\"}\n\n");
}

TEST(EventText, EachLineOfAMessageIsAField)
{
    EXPECT_EQ(data_of("one"), "data: one\n");
    EXPECT_EQ(data_of(""), "data: \n");
    EXPECT_EQ(data_of(" two\nlines"), "data:  two\ndata: lines\n");
    EXPECT_EQ(data_of("\n"), "data: \ndata: \n");
    EXPECT_EQ(data_of("a\n\nb\n"), "data: a\ndata: \ndata: b\ndata: \n");
}

TEST(EventText, OtherEndsOfLinesAreInAFieldOfTheirOwn)
{
    EXPECT_EQ(data_of("a\r\nb"), "data: a\ndata: b\nbase64: YQ0KYg==\n");
    EXPECT_EQ(data_of("a\rb"), "data: a\ndata: b\nbase64: YQ1i\n");
    EXPECT_EQ(data_of("\r"), "data: \ndata: \nbase64: DQ==\n");
    EXPECT_EQ(data_of("a\r\r\n\n"),
              "data: a\ndata: \ndata: \ndata: \nbase64: YQ0NCgo=\n");
}

// A payload cannot add an event or a field
TEST(EventText, FieldsInAMessageAreData)
{
    EXPECT_EQ(data_of("\n\nid: 9-9\nevent: x"),
              "data: \ndata: \ndata: id: 9-9\ndata: event: x\n");
}

TEST(EventText, MessageNamesItsSource)
{
    websocket::message sent = text_message("x");

    sent.from = 10;
    sent.user = "a\"b\u00e4";
    EXPECT_EQ(event_text::message(sent),
              "id: 7-8\ntime: 9\nfrom: 10\nuser: \"a\\\"b\u00e4\"\n"
              "data: x\n\n");
}

TEST(EventText, BinaryMessageIsBase64)
{
    constexpr std::array bytes{std::byte{0}, std::byte{255}};
    websocket::message sent = text_message("");

    sent.kind = opcode::binary;
    sent.data = bytes;
    EXPECT_EQ(event_text::message(sent),
              "event: binary\nid: 7-8\ntime: 9\ndata: AP8=\n\n");
}

TEST(EventText, MessageObjectHasThePositions)
{
    EXPECT_EQ(event_text::message_object("{}", "a=1-2"),
              "id: a=1-2\ndata: {}\n\n");
}

TEST(EventText, PositionsCanBeReadBack)
{
    const std::vector<std::string> names{"chat.a", "a,b=c",  "100%",
                                         "%41",    "\n\r\"", "\u00e4\u20ac",
                                         "a b+c",  "x/y:z"};
    std::string list;

    for (std::size_t i = 0; i != names.size(); i++) {
        event_text::append_position(list, names[i], {1, i});
    }

    const auto positions = event_text::read_positions(list);

    EXPECT_EQ(list.find_first_of("\r\n\" "), list.npos);
    ASSERT_EQ(positions.size(), names.size());

    for (std::size_t i = 0; i != names.size(); i++) {
        EXPECT_EQ(positions.at(names[i]), "1-" + std::to_string(i));
    }
}

TEST(EventText, ListOfPositionsMayBeAnything)
{
    EXPECT_TRUE(event_text::read_positions("").empty());
    EXPECT_TRUE(event_text::read_positions(",,").empty());
    EXPECT_EQ(event_text::read_positions("a").at("a"), "");
    EXPECT_EQ(event_text::read_positions("a=").at("a"), "");
    EXPECT_EQ(event_text::read_positions("=1-2").at(""), "1-2");
    EXPECT_EQ(event_text::read_positions("a=b=c,").at("a"), "b=c");
    EXPECT_EQ(event_text::read_positions("a=1-1,a=1-2").at("a"), "1-2");
}

TEST(EventText, NamesAreDecodedOnce)
{
    using list = std::vector<std::string>;

    EXPECT_EQ(event_text::read_names(""), list{});
    EXPECT_EQ(event_text::read_names("a,,b,"), (list{"a", "b"}));
    EXPECT_EQ(event_text::read_names("a%2Cb,%2541,a+b"),
              (list{"a,b", "%41", "a+b"}));
    EXPECT_EQ(event_text::read_names("%,%4,%zz"), (list{"%", "%4", "%zz"}));
    EXPECT_EQ(event_text::read_names("%ff"), (list{"\xEF\xBF\xBD"}));
}
