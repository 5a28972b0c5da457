// The maximum work in one call of a reader, although few compressed bytes may
// inflate to many. It then returns `unfinished`, and the next call continues.
#include "protocol/messages/endpoint.hpp"

#include "deflate_builder.hpp"
#include "frame_builder.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

using namespace websocket::protocol;
using compression::compressed;
using compression::lone_reader;
using compression::takeover_reader;
using frames::events;
using frames::fin;
using frames::frame;
using frames::received;

namespace {

constexpr unsigned text = fin | frames::text;
constexpr unsigned binary = fin | frames::binary;
constexpr std::size_t mebibyte = std::size_t{1} << 20;
constexpr std::size_t longest_step = 5 * message_reader::inflation_step / 4;

constexpr message_limits large{.max_message_size = 64 * mebibyte,
                               .max_frame_size = 64 * mebibyte};

std::string json(std::size_t size)
{
    std::string all;

    for (std::size_t i = 0; all.size() < size; i++) {
        all += R"({"id":)" + std::to_string(i * i % 1009) + R"(,"text":"é )" +
               std::to_string(i) + "\"},";
    }

    return all;
}

// Reads one message. Each call must inflate at most one step. The rest of the
// input moves between two calls. Returns the number of calls.
template <class reader>
std::size_t read_in_steps(reader &from, std::string_view wire,
                          std::string_view message)
{
    auto bytes = std::make_unique<received>(wire);
    std::span<std::byte> input = bytes->input();
    std::size_t size = 0;

    for (std::size_t calls = 1;; calls++) {
        const event found = from.next(input);

        if (found.type != event_type::unfinished) {
            EXPECT_EQ(found.type, event_type::message);
            EXPECT_LE(found.payload.size(), size + longest_step);
            EXPECT_EQ(frames::as_string(found.payload), message);
            EXPECT_EQ(from.next(input).type, event_type::need_input);
            return calls;
        }

        EXPECT_LE(from.assembled().size(), size + longest_step);
        EXPECT_FALSE(input.empty());
        size = from.assembled().size();

        auto moved = std::make_unique<received>(frames::as_string(input));
        input = moved->input();
        bytes = std::move(moved);
    }
}

class agreed_endpoint : public endpoint {
public:
    explicit agreed_endpoint(const message_limits &limits) : endpoint{limits}
    {
        accept_compressed(
            {.agreed = true, .client_takeover = false, .client_window = 15});
    }
};

} // namespace

TEST(unfinished, is_a_bomb_after_each_step)
{
    const std::string zeros(8 * mebibyte, '\0');
    const std::string wire = compression::frame(binary, compressed(zeros));
    lone_reader reader{large};

    const std::size_t calls = read_in_steps(reader, wire, zeros);
    EXPECT_GE(calls, zeros.size() / longest_step);
    EXPECT_LE(calls, zeros.size() / message_reader::inflation_step + 4);
}

TEST(unfinished, is_a_message_that_shrinks_as_most_do)
{
    const std::string message = json(mebibyte);
    const std::string wire = compression::frame(text, compressed(message));
    lone_reader reader{large};

    EXPECT_GE(read_in_steps(reader, wire, message), mebibyte / longest_step);
}

TEST(unfinished, are_messages_that_refer_to_one_another)
{
    takeover_reader reader{large};
    compression::sender peer;
    const std::string message = json(300000);

    for (int i = 0; i != 3; i++) {
        read_in_steps(reader, compression::frame(text, peer.message(message)),
                      message);
    }
}

TEST(unfinished, is_no_message_of_less_than_a_step)
{
    const std::string message = json(10000);
    const std::string wire = compression::frame(text, compressed(message));
    lone_reader reader{large};

    EXPECT_EQ(read_in_steps(reader, wire, message), 1U);
}

// A block of DEFLATE with its own codes takes as long as kilobytes of text.
TEST(unfinished, are_blocks_of_nothing_after_4_kb)
{
    constexpr std::size_t most = 4096;
    // Four blocks of 90 bits: the lengths of the codes, and the end of the
    // block
    constexpr std::string_view blocks{
        "\x04\xc0\x81\x00\x00\x00\x00\x00\x90\xff\x6b\x10\x00\x07\x02"
        "\x00\x00\x00\x00\x40\xfe\xaf\x41\x00\x1c\x08\x00\x00\x00\x00"
        "\x00\xf9\xbf\x06\x01\x70\x20\x00\x00\x00\x00\x00\xe4\xff\x1a",
        45};
    std::string payload;

    for (int i = 0; i != 2000; i++) {
        payload += blocks;
    }

    payload += '\0'; // an empty stored block

    for (const std::size_t part : {payload.size(), std::size_t{3000}}) {
        std::string wire;

        for (std::size_t at = 0; at < payload.size(); at += part) {
            wire += frame((at == 0 ? frames::binary | compression::rsv1
                                   : frames::continuation) |
                              (at + part < payload.size() ? 0 : fin),
                          payload.substr(at, part));
        }

        lone_reader reader{large};
        received bytes{wire};
        std::span<std::byte> input = bytes.input();
        event found{.type = event_type::unfinished};

        while (found.type == event_type::unfinished) {
            const std::size_t before = input.size();
            found = reader.next(input);
            ASSERT_LE(before - input.size(), 2 * most);
        }

        EXPECT_EQ(found.type, event_type::message);
        EXPECT_TRUE(found.payload.empty());
    }
}

TEST(unfinished, is_a_bomb_in_fragments_after_each_step)
{
    const std::string zeros(4 * mebibyte, '\0');
    const std::string payload = compressed(zeros);
    std::string wire;

    // Each part inflates to nearly a step
    for (std::size_t at = 0; at < payload.size(); at += 60) {
        wire += frame((at == 0 ? frames::binary | compression::rsv1
                               : frames::continuation) |
                          (at + 60 < payload.size() ? 0 : fin),
                      payload.substr(at, 60));
    }

    lone_reader reader{large};
    received bytes{wire};
    std::span<std::byte> input = bytes.input();
    std::size_t size = 0;
    event found{.type = event_type::unfinished};

    while (found.type == event_type::unfinished) {
        found = reader.next(input);
        ASSERT_LE(reader.assembled().size(), size + 2 * longest_step);
        size = reader.assembled().size();
    }

    EXPECT_EQ(found.type, event_type::message);
    EXPECT_EQ(found.payload.size(), zeros.size());
}

TEST(unfinished, is_read_alike_however_it_is_cut)
{
    const std::string payload = compressed(json(200000));
    const std::size_t half = payload.size() / 2;
    const std::string wire =
        frame(frames::text | compression::rsv1, payload.substr(0, half)) +
        frame(fin | frames::ping, "between") +
        frame(fin | frames::continuation, payload.substr(half)) +
        frame(text, "after");

    const events found = frames::read_all_ways<lone_reader>(wire, large);
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(found[1], frames::text_message(json(200000)));
}

TEST(unfinished, fails_at_the_same_byte)
{
    std::string message = json(300000);
    message[250000] = '\xFF';
    const std::string wire = compression::frame(text, compressed(message));

    EXPECT_EQ(frames::read_all_ways<lone_reader>(wire, large),
              events{frames::failed(error::invalid_utf8)});

    const message_limits limits{.max_message_size = 200000};
    EXPECT_EQ(frames::read_all_ways<lone_reader>(
                  compression::frame(text, compressed(json(200001))), limits),
              events{frames::failed(error::message_too_big)});
}

TEST(unfinished, are_many_empty_fragments)
{
    std::string wire = frame(frames::text, "");

    for (int i = 0; i != 5000; i++) {
        wire += frame(frames::continuation, "");
    }

    wire += frame(fin | frames::continuation, "end");

    for (const bool packed : {false, true}) {
        lone_reader reader{large};
        received bytes{wire};
        std::span<std::byte> input = bytes.input();
        event found{.type = event_type::unfinished};

        if (packed) {
            input[0] |= std::byte{compression::rsv1};
        }

        while (found.type == event_type::unfinished) {
            const std::size_t before = input.size();
            found = reader.next(input);
            EXPECT_LE(before - input.size(), 1000U);
        }

        // "end" is not valid DEFLATE
        EXPECT_EQ(found.type,
                  packed ? event_type::failed : event_type::message);
    }
}

TEST(unfinished, is_nothing_after_our_close)
{
    agreed_endpoint peer{large};
    const std::string zeros(mebibyte, '\0');
    const std::string bomb = compression::frame(binary, compressed(zeros));
    received bytes{bomb + bomb + frame(fin | frames::close, "")};
    std::span<std::byte> input = bytes.input();

    EXPECT_EQ(peer.next(input).type, event_type::unfinished);
    EXPECT_FALSE(peer.begin_close(1001, "bye").empty());
    EXPECT_EQ(peer.next(input).type, event_type::close);
    EXPECT_FALSE(peer.assembled());
}
