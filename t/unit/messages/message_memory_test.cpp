// The memory of payloads. A whole frame is not copied, a frame in pieces is
// copied once, and no message allocates a block of its own.
#include "protocol/messages/message_reader.hpp"

#include "counted_memory.hpp"
#include "frame_builder.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace websocket::protocol;
using frames::close_frame;
using frames::fin;
using frames::frame;
using frames::header;
using frames::received;

namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;
constexpr unsigned text = fin | frames::text;
constexpr unsigned binary = fin | frames::binary;
constexpr unsigned ping = fin | frames::ping;
constexpr unsigned last = fin | frames::continuation;

class message_memory : public testing::Test {
protected:
    message_memory() { shared_buffer::clear_cache(); }

    // Blocks of the reader, and all other calls of operator new.
    std::size_t allocations() const
    {
        return shared_buffer::allocations() + calls_of_new - before_;
    }
    void forget_allocations()
    {
        before_ = shared_buffer::allocations() + calls_of_new;
    }

    std::size_t blocks() const
    {
        return shared_buffer::allocations() - blocks_before_;
    }

    event next(std::span<std::byte> input)
    {
        const event found = reader_.next(input);
        EXPECT_TRUE(input.empty());
        return found;
    }

    event_type next_type(std::span<std::byte> input)
    {
        return next(input).type;
    }

    message_limits limits_{.max_message_size = 64 * mebibyte,
                           .max_frame_size = 64 * mebibyte};
    message_reader reader_{limits_};

private:
    std::size_t before_ = shared_buffer::allocations() + calls_of_new;
    std::size_t blocks_before_ = shared_buffer::allocations();
};

} // namespace

TEST_F(message_memory, of_whole_frames_is_the_input)
{
    const std::string large(100000, 'x');
    received wire{frame(text, "one") + frame(binary, large) +
                  frame(ping, "two") + frame(fin | frames::pong, "three") +
                  frame(text) + close_frame(1000, "four")};
    std::span<std::byte> input = wire.input();
    std::size_t payload = 0;

    for (int i = 0; i < 6; i++) {
        const event found = reader_.next(input);

        EXPECT_TRUE(wire.holds(found.payload)) << i;
        EXPECT_FALSE(reader_.assembled());
        payload += found.payload.size();
    }

    EXPECT_EQ(payload, 3 + large.size() + 3 + 5 + 4);
    EXPECT_TRUE(input.empty());
    EXPECT_EQ(blocks(), 0U);
}

TEST_F(message_memory, of_a_payload_behind_a_cut_header_is_the_input)
{
    const std::string wire = frame(text, "Hello");

    for (std::size_t cut = 1; cut <= 6; cut++) {
        received head{wire.substr(0, cut)};
        received tail{wire.substr(cut)};

        EXPECT_EQ(next_type(head.input()), event_type::need_input);
        const event found = next(tail.input());
        EXPECT_EQ(frames::as_string(found.payload), "Hello");
        EXPECT_TRUE(tail.holds(found.payload)) << cut;
    }

    EXPECT_EQ(blocks(), 0U);
}

TEST_F(message_memory, of_a_cut_payload_is_one_block)
{
    const std::string payload(50000, 'x');
    const std::string wire = frame(text, payload);
    const std::byte *data = nullptr;

    for (std::size_t at = 0; at < wire.size(); at += 1000) {
        received piece{std::string_view(wire).substr(at, 1000)};
        const event found = next(piece.input());

        ASSERT_TRUE(reader_.assembled());
        data = at == 0 ? reader_.assembled().data() : data;
        EXPECT_EQ(reader_.assembled().data(), data) << at;

        if (at + 1000 >= wire.size()) {
            EXPECT_EQ(found.payload.data(), data);
            EXPECT_EQ(frames::as_string(found.payload), payload);
        }
    }

    EXPECT_EQ(blocks(), 1U);
}

TEST_F(message_memory, of_a_cut_control_frame_is_one_block)
{
    received head{frame(ping, "Hello").substr(0, 8)};
    received tail{frame(ping, "Hello").substr(8)};

    EXPECT_EQ(next_type(head.input()), event_type::need_input);
    const event found = next(tail.input());

    EXPECT_EQ(frames::as_string(found.payload), "Hello");
    EXPECT_FALSE(tail.holds(found.payload));
    EXPECT_EQ(blocks(), 1U);
}

TEST_F(message_memory, of_a_message_in_128_kib_fragments_is_one_block)
{
    // Browsers send large messages in such fragments
    const std::string fragment(mebibyte / 8, 'x');
    received first{frame(frames::binary, fragment)};
    next(first.input());
    const std::byte *data = reader_.assembled().data();

    for (int i = 1; i < 8; i++) {
        received more{frame(i < 7 ? frames::continuation : last, fragment)};
        const event found = next(more.input());

        EXPECT_EQ(reader_.assembled().data(), data) << i;
        EXPECT_EQ(found.payload.size(), i < 7 ? 0 : mebibyte);
    }

    EXPECT_EQ(blocks(), 1U);
}

TEST_F(message_memory, of_many_small_fragments_grows_by_doubling)
{
    for (int i = 0; i < 20000; i++) {
        received more{frame(i == 0 ? frames::binary : frames::continuation,
                            "ten bytes.")};
        next(more.input());
    }

    EXPECT_EQ(reader_.assembled().size(), 200000U);
    EXPECT_LE(blocks(), 9U); // 1 KiB to 256 KiB
}

TEST_F(message_memory, received_directly_is_not_copied)
{
    const std::string payload(300000, 'x');
    const std::string wire = frames::masked(payload);
    received head{header(binary, payload.size())};

    EXPECT_TRUE(reader_.receive_buffer().empty());
    next(head.input());
    const std::byte *data = reader_.receive_buffer().data();
    std::size_t at = 0;
    event found;

    while (at < wire.size()) {
        const std::span<std::byte> buffer = reader_.receive_buffer();
        ASSERT_FALSE(buffer.empty()) << at;
        EXPECT_EQ(buffer.data(), data + at);
        ASSERT_LE(buffer.size(), wire.size() - at);

        const std::size_t size = std::min<std::size_t>(buffer.size(), 70000);
        std::memcpy(buffer.data(), wire.data() + at, size);
        found = next(buffer.first(size));
        at += size;
    }

    EXPECT_EQ(found.type, event_type::message);
    EXPECT_EQ(found.payload.data(), data);
    EXPECT_EQ(frames::as_string(found.payload), payload);
    EXPECT_EQ(blocks(), 1U);
}

TEST_F(message_memory, offered_directly_may_be_left_unused)
{
    const std::string payload(9000, 'x');
    received head{header(binary, payload.size())};
    received tail{frames::masked(payload)};

    next(head.input());
    EXPECT_EQ(reader_.receive_buffer().size(), payload.size());
    EXPECT_EQ(reader_.receive_buffer().size(), payload.size());
    EXPECT_EQ(frames::as_string(next(tail.input()).payload), payload);
    EXPECT_TRUE(reader_.receive_buffer().empty());
}

TEST_F(message_memory, is_not_offered_for_short_rests_and_control_frames)
{
    received head{header(binary, 4095)};
    next(head.input());
    EXPECT_TRUE(reader_.receive_buffer().empty());

    received rest{frames::masked(std::string(4095, 'x'))};
    EXPECT_EQ(next_type(rest.input()), event_type::message);

    received control{header(ping, 125)};
    next(control.input());
    EXPECT_TRUE(reader_.receive_buffer().empty());
    EXPECT_EQ(blocks(), 0U);
}

TEST_F(message_memory, of_whole_messages_is_never_allocated)
{
    const std::string wire =
        frame(text, "Hello") + frame(ping) + frame(text, "World");
    received buffer{wire};
    int seen = 0;
    forget_allocations();

    for (int i = 0; i < 1000; i++) {
        std::span<std::byte> input = buffer.input();
        std::memcpy(input.data(), wire.data(), wire.size());

        while (reader_.next(input).type != event_type::need_input) {
            seen++;
        }
    }

    EXPECT_EQ(allocations(), 0U);
    EXPECT_EQ(seen, 3000);
}

TEST_F(message_memory, of_cut_messages_is_not_allocated_for_each)
{
    constexpr std::size_t clients = 100;
    std::vector<message_reader> readers;
    const std::string wire = frame(text, std::string(700, 'x'));
    std::vector<std::byte> piece(wire.size());
    std::size_t messages = 0;

    for (std::size_t i = 0; i < clients; i++) {
        readers.emplace_back(limits_);
    }

    // Each client's message is cut in two, for all clients at the same time
    const auto round = [&] {
        for (const std::size_t cut : {std::size_t{0}, std::size_t{300}}) {
            const std::size_t end = cut == 0 ? 300 : wire.size();

            for (message_reader &reader : readers) {
                std::memcpy(piece.data(), wire.data() + cut, end - cut);
                std::span<std::byte> input = std::span(piece).first(end - cut);
                while (reader.next(input).type == event_type::message) {
                    messages++;
                }
            }
        }
    };

    round();
    forget_allocations();
    for (int i = 0; i < 100; i++) {
        round();
    }

    EXPECT_EQ(allocations(), 0U);
    EXPECT_EQ(messages, 101 * clients);
}

TEST_F(message_memory, of_a_large_announcement_is_one_mebibyte_at_most)
{
    received start{header(binary, 60 * mebibyte) + "little"};

    next(start.input());
    reader_.receive_buffer();

    EXPECT_LE(reader_.assembled().capacity(), mebibyte);
    EXPECT_EQ(blocks(), 1U);
}

TEST_F(message_memory, of_a_large_announcement_follows_what_arrives)
{
    received head{header(binary, 60 * mebibyte)};
    next(head.input());

    for (std::size_t at = 0; at < 40 * mebibyte;) {
        const std::span<std::byte> buffer = reader_.receive_buffer();

        ASSERT_GE(buffer.size(), 4096U);
        ASSERT_LE(reader_.assembled().capacity(),
                  std::max(mebibyte, 2 * (at + 4096)));
        next(buffer);
        at += buffer.size();
    }

    EXPECT_LE(blocks(), 8U);
}

TEST_F(message_memory, is_kept_by_a_reference)
{
    const std::string wire = frame(text, "Hello");
    received head{wire.substr(0, 8)};
    received tail{wire.substr(8)};

    next(head.input());
    next(tail.input());
    const shared_buffer kept = reader_.assembled();
    received other{wire.substr(0, 8)};
    next(other.input());

    EXPECT_TRUE(kept.unique());
    EXPECT_EQ(frames::as_string(kept.bytes()), "Hello");
    EXPECT_NE(reader_.assembled().data(), kept.data());
}

TEST_F(message_memory, is_given_back_with_the_next_call)
{
    const std::string wire = frame(text, "Hello") + frame(ping, "Hello");
    received head{wire.substr(0, 8)};
    received tail{wire.substr(8)};

    next(head.input());
    std::span<std::byte> input = tail.input();
    EXPECT_EQ(reader_.next(input).type, event_type::message);
    EXPECT_TRUE(reader_.assembled());
    EXPECT_EQ(reader_.next(input).type, event_type::ping);
    EXPECT_FALSE(reader_.assembled());
}

TEST_F(message_memory, is_given_back_at_a_failure)
{
    received start{frame(frames::text, "Hello") + frame(text)};

    EXPECT_EQ(next_type(start.input()), event_type::failed);
    EXPECT_FALSE(reader_.assembled());
}
