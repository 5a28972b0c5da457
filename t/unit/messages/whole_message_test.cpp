// The fast path of messages in one whole frame: the messages that it accepts.
// All others are left to message_reader::next().
#include "protocol/messages/message_reader.hpp"

#include "frame_builder.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

using namespace websocket::protocol;
using frames::fin;
using frames::frame;

namespace {

constexpr unsigned text = fin | frames::text;
constexpr unsigned binary = fin | frames::binary;
constexpr unsigned ping = fin | frames::ping;

std::string_view as_text(std::span<const std::byte> bytes)
{
    return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

class whole_message : public testing::Test {
protected:
    // Makes these bytes the next input.
    void receive(std::string bytes)
    {
        bytes_ = std::move(bytes);
        input_ = std::as_writable_bytes(std::span(bytes_));
    }

    // The input is neither consumed nor changed.
    void expect_left(const std::string &bytes)
    {
        receive(bytes);
        ASSERT_TRUE(reader_.between_messages());
        EXPECT_EQ(reader_.next_whole(input_).header_size, 0);
        EXPECT_EQ(input_.size(), bytes.size());
        EXPECT_EQ(bytes_, bytes);
        EXPECT_TRUE(reader_.between_messages());
    }

    message_limits limits_;
    message_reader reader_{limits_};
    std::string bytes_;
    std::span<std::byte> input_;
};

} // namespace

TEST_F(whole_message, is_taken_one_at_a_time)
{
    const std::string longer(300, 'x');

    receive(frame(text, "Hello") + frame(binary, "\xff") + frame(text, longer) +
            frame(text));
    ASSERT_TRUE(reader_.between_messages());

    whole_frame found = reader_.next_whole(input_);
    EXPECT_EQ(as_text(found.payload), "Hello");
    EXPECT_EQ(found.kind, opcode::text);
    EXPECT_EQ(found.header_size, 6);

    found = reader_.next_whole(input_);
    EXPECT_EQ(as_text(found.payload), "\xff");
    EXPECT_EQ(found.kind, opcode::binary);

    found = reader_.next_whole(input_);
    EXPECT_EQ(as_text(found.payload), longer);
    EXPECT_EQ(found.header_size, 8);

    found = reader_.next_whole(input_);
    EXPECT_TRUE(found.payload.empty());
    EXPECT_EQ(found.header_size, 6);

    EXPECT_TRUE(input_.empty());
    EXPECT_EQ(reader_.next_whole(input_).header_size, 0);
    EXPECT_TRUE(reader_.between_messages());
}

TEST_F(whole_message, is_no_other_frame)
{
    const std::string whole = frame(text, std::string(200, 'x'));

    for (std::size_t size = 0; size < whole.size(); size++) {
        expect_left(whole.substr(0, size));
    }

    expect_left(frame(ping, "ping"));
    expect_left(frame(frames::text, "first"));
    expect_left(frame(fin | frames::continuation, "last"));
    expect_left(frame(text | rsv1, "reserved"));
}

TEST_F(whole_message, keeps_the_limits)
{
    limits_.max_message_size = 5;
    expect_left(frame(text, "longer"));
    limits_ = {};
    limits_.max_frame_size = 5;
    expect_left(frame(text, "longer"));
    limits_ = {};
    limits_.text_accepted = false;
    expect_left(frame(text, "text"));
    limits_ = {};
    limits_.binary_accepted = false;
    expect_left(frame(binary, "binary"));
    limits_ = {};
    limits_.frames_announced = true;
    expect_left(frame(text, "announced"));
}

TEST_F(whole_message, that_is_not_utf8_fails_the_reader_once)
{
    for (const char *wrong : {"\xff", "cut \xe2\x82"}) {
        message_reader reader{limits_};

        receive(frame(text, wrong));
        EXPECT_EQ(reader.next_whole(input_).header_size, 0);
        EXPECT_FALSE(reader.between_messages());
        EXPECT_FALSE(reader.needs_input()); // the failure is not reported yet

        const event found = reader.next(input_);
        EXPECT_EQ(found.type, event_type::failed);
        EXPECT_EQ(found.reason, error::invalid_utf8);

        receive(frame(text, "ignored"));
        EXPECT_EQ(reader.next(input_).type, event_type::need_input);
        EXPECT_TRUE(input_.empty());
        EXPECT_FALSE(reader.between_messages());
    }
}

TEST_F(whole_message, waits_for_what_has_begun)
{
    receive(frame(frames::text, "first"));
    EXPECT_EQ(reader_.next(input_).type, event_type::need_input);
    EXPECT_FALSE(reader_.between_messages());

    receive(frame(fin | frames::continuation, "last"));
    EXPECT_EQ(as_text(reader_.next(input_).payload), "firstlast");
    EXPECT_FALSE(reader_.between_messages()); // inside a message
    EXPECT_EQ(reader_.next(input_).type, event_type::need_input);
    EXPECT_TRUE(reader_.between_messages());

    receive(frame(text, "Hello").substr(0, 1));
    EXPECT_EQ(reader_.next(input_).type, event_type::need_input);
    EXPECT_FALSE(reader_.between_messages());
}
