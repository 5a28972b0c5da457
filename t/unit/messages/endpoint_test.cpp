// The replies of an endpoint, and the closing handshake in each order (RFC 6455
// 1.4, 5.5, 7).
#include "protocol/messages/endpoint.hpp"

#include "protocol/frames/close_code.hpp"
#include "protocol/text/utf8.hpp"

#include "frame_builder.hpp"
#include "sent_frames.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace websocket::protocol;
using frames::close_frame;
using frames::closed;
using frames::control;
using frames::events;
using frames::failed;
using frames::fin;
using frames::frame;
using frames::header;
using frames::read;
using frames::read_all_ways;
using frames::text_message;
using sent_frames::bytes_of;
using sent_frames::sent;
using sent_frames::sent_close;

namespace {

constexpr unsigned text = fin | frames::text;
constexpr unsigned ping = fin | frames::ping;
constexpr unsigned pong = fin | frames::pong;
constexpr unsigned empty_close = fin | frames::close;

constexpr message_limits limits;

// All replies of the endpoint to `wire`, joined.
std::string answers(endpoint &peer, std::string_view wire)
{
    frames::received copy{wire};
    std::span<std::byte> input = copy.input();
    std::string all;

    for (;;) {
        const event found = peer.next(input);

        if (found.type == event_type::need_input) {
            return all;
        }

        all += bytes_of(peer.answer(found));
    }
}

std::string answer_of_new(std::string_view wire)
{
    endpoint peer{limits};
    return answers(peer, wire);
}

// After a Close of the server or a failure, a Close is reported without its
// code.
const frames::seen bare_close = control(event_type::close);

// One failure of each kind: frames with invalid headers, too large frames, and
// frames with invalid payload.
std::vector<std::pair<std::string, error>> failures()
{
    using frames::length_form;

    return {
        {frame(0x83, "reserved"), error::reserved_opcode},
        {frame(fin | 0x70 | frames::binary, "bits"), error::reserved_bits},
        {frame(frames::ping, "cut"), error::control_fragmented},
        {frame(ping, std::string(300, 'p')), error::control_too_long},
        {header(text, 5, length_form::shortest, false) + "plain",
         error::not_masked},
        {header(text, 5, length_form::long_64) + "short",
         error::length_not_minimal},
        {frame(fin | frames::continuation, "alone"),
         error::continuation_unexpected},
        {frame(frames::text, "a") + frame(text, "b"),
         error::continuation_expected},
        {frame(text, std::string((1 << 20) + 1, 'x')), error::message_too_big},
        {frame(text, "\xff and more of it"), error::invalid_utf8},
        {frame(text, std::string(9000, 'x') + "\xe2\x82"), error::invalid_utf8},
    };
}

} // namespace

TEST(endpoint, answers_a_ping_with_its_payload)
{
    const std::string longest(125, 'p');

    EXPECT_EQ(answer_of_new(frame(ping, "one")), sent(pong, "one"));
    EXPECT_EQ(answer_of_new(frame(ping)), sent(pong));
    EXPECT_EQ(answer_of_new(frame(ping, longest)), sent(pong, longest));
}

TEST(endpoint, answers_each_ping_in_its_order)
{
    EXPECT_EQ(answer_of_new(frame(frames::text, "a") + frame(ping, "1") +
                            frame(ping, "2") +
                            frame(fin | frames::continuation, "b") +
                            frame(ping, "3")),
              sent(pong, "1") + sent(pong, "2") + sent(pong, "3"));
}

TEST(endpoint, answers_neither_messages_nor_pongs)
{
    EXPECT_EQ(answer_of_new(frame(text, "Hello") + frame(pong, "late")), "");
}

TEST(endpoint, answers_a_close_with_its_code)
{
    for (const unsigned code : {1000U, 1001U, 1014U, 3000U, 4999U}) {
        EXPECT_EQ(answer_of_new(close_frame(code, "bye")), sent_close(code));
    }
}

TEST(endpoint, answers_an_empty_close_with_an_empty_one)
{
    EXPECT_EQ(answer_of_new(frame(empty_close)), sent(empty_close));
}

TEST(endpoint, answers_a_failure_with_its_code_and_text)
{
    EXPECT_EQ(answer_of_new(frame(0x83)),
              sent_close(1002, describe(error::reserved_opcode)));
    EXPECT_EQ(answer_of_new(frame(text, "\xff")),
              sent_close(1007, describe(error::invalid_utf8)));
    EXPECT_EQ(answer_of_new(header(text, 1 << 21)),
              sent_close(1009, describe(error::message_too_big)));
    EXPECT_EQ(answer_of_new(close_frame(1005)),
              sent_close(1002, describe(error::close_code_invalid)));
}

TEST(endpoint, answers_what_came_before_the_close)
{
    endpoint peer{limits};

    EXPECT_EQ(answers(peer, frame(ping, "1") + close_frame(1000)),
              sent(pong, "1") + sent_close(1000));
    EXPECT_TRUE(peer.close_sent());
    EXPECT_TRUE(peer.finished_reading());
}

TEST(endpoint, drops_what_follows_a_close)
{
    EXPECT_EQ(read_all_ways<endpoint>(frame(text, "one") + close_frame(1001) +
                                      frame(text, "two") + frame(ping) +
                                      close_frame(1000) + "\xff\xff"),
              (events{text_message("one"), closed(1001)}));
}

TEST(endpoint, reports_only_the_close_that_follows_a_failure)
{
    for (const auto &[broken, reason] : failures()) {
        EXPECT_EQ(read_all_ways<endpoint>(frame(text, "one") + broken +
                                          frame(text, "two") + frame(0x83) +
                                          frame(ping) + close_frame(1000) +
                                          close_frame(1001) + "\xff\xff"),
                  (events{text_message("one"), failed(reason), bare_close}))
            << describe(reason);
    }
}

TEST(endpoint, finds_the_close_after_a_whole_text_that_is_none)
{
    endpoint peer{limits};
    frames::received wire{frame(text, "\xff") + close_frame(1007)};
    std::span<std::byte> input = wire.input();

    EXPECT_EQ(peer.next_whole(input).header_size, 0);
    EXPECT_EQ(read(peer, input),
              (events{failed(error::invalid_utf8), bare_close}));
}

TEST(endpoint, takes_a_broken_close_for_the_last_frame)
{
    for (const std::string &broken :
         {frame(empty_close, "\x03"), close_frame(1005),
          close_frame(1000, "\xff")}) {
        endpoint peer{limits};

        EXPECT_EQ(read(peer, broken + close_frame(1000)).size(), 1U);
        EXPECT_TRUE(peer.failed());
        EXPECT_TRUE(peer.finished_reading());
    }
}

TEST(endpoint, leaves_what_follows_the_close_in_the_input)
{
    const std::string late = frame(text, "late");

    for (const std::string &first : {std::string{}, frame(0x83)}) {
        endpoint peer{limits};
        frames::received wire{first + close_frame(1000) + late};
        std::span<std::byte> input = wire.input();

        for (event_type type{}; type != event_type::close;) {
            EXPECT_FALSE(peer.finished_reading());
            type = peer.next(input).type;
            ASSERT_NE(type, event_type::need_input);
        }

        EXPECT_EQ(input.size(), late.size());
        EXPECT_TRUE(peer.finished_reading());
        EXPECT_FALSE(peer.close_sent());
        EXPECT_EQ(peer.next(input).type, event_type::need_input);
        EXPECT_TRUE(input.empty());
        EXPECT_TRUE(peer.receive_buffer().empty());
    }
}

TEST(endpoint, begins_the_close_once)
{
    endpoint peer{limits};

    EXPECT_EQ(bytes_of(peer.begin_close(1001, "bye")), sent_close(1001, "bye"));
    EXPECT_TRUE(peer.close_sent());
    EXPECT_FALSE(peer.finished_reading());
    EXPECT_TRUE(peer.begin_close(1000, "again").empty());
}

TEST(endpoint, does_not_begin_a_close_after_its_answer)
{
    endpoint peer{limits};

    EXPECT_EQ(answers(peer, close_frame(1000)), sent_close(1000));
    EXPECT_TRUE(peer.begin_close(1001, "late").empty());
}

TEST(endpoint, does_not_answer_a_close_that_follows_its_own)
{
    for (const std::string &reply : {close_frame(1001), frame(empty_close)}) {
        endpoint peer{limits};
        peer.begin_close(1001, "bye");

        EXPECT_EQ(answers(peer, reply), "");
        EXPECT_TRUE(peer.finished_reading());
    }
}

TEST(endpoint, reports_the_close_that_follows_its_own)
{
    endpoint peer{limits};
    peer.begin_close(1001, "bye");

    EXPECT_EQ(read(peer, close_frame(3000, "mine")), events{bare_close});
}

TEST(endpoint, reports_no_failure_after_its_close)
{
    for (const auto &[broken, reason] : failures()) {
        endpoint peer{limits};
        peer.begin_close(1001, "bye");

        EXPECT_EQ(answers(peer, broken), "") << describe(reason);
        EXPECT_FALSE(peer.failed());
        EXPECT_FALSE(peer.finished_reading());
        EXPECT_EQ(read(peer, close_frame(1001)), events{bare_close});
    }
}

TEST(endpoint, discards_messages_and_control_frames_after_its_close)
{
    endpoint peer{limits};
    peer.begin_close(1001, "bye");

    EXPECT_EQ(read(peer, frame(text, "one") + frame(ping, "two") + frame(pong) +
                             frame(frames::text, "three")),
              events{});
    EXPECT_EQ(read(peer, frame(fin | frames::continuation, "four") +
                             frame(ping).substr(0, 3)),
              events{});
    EXPECT_EQ(read(peer, frame(ping).substr(3) + close_frame(1001)),
              events{bare_close});
}

TEST(endpoint, stores_nothing_after_its_close)
{
    const std::string wire = frame(text, std::string(100000, 'x'));
    endpoint peer{limits};

    EXPECT_EQ(read(peer, wire.substr(0, 10000)), events{});
    EXPECT_TRUE(peer.assembled());
    peer.begin_close(1001, "bye");

    EXPECT_EQ(read(peer, wire.substr(10000) + wire + wire.substr(0, 10000)),
              events{});
    EXPECT_FALSE(peer.assembled());
}

TEST(endpoint, does_not_answer_a_ping_read_before_its_close)
{
    endpoint peer{limits};
    frames::received wire{frame(ping, "1")};
    std::span<std::byte> input = wire.input();
    const event found = peer.next(input);

    peer.begin_close(1001, "bye");

    EXPECT_EQ(found.type, event_type::ping);
    EXPECT_TRUE(peer.answer(found).empty());
}

TEST(endpoint, closes_inside_a_message_that_is_being_received)
{
    endpoint peer{limits};
    const std::string payload(9000, 'x');
    const std::string wire = frame(text, payload) + close_frame(1001);

    EXPECT_EQ(read(peer, wire.substr(0, 20)), events{});
    EXPECT_TRUE(peer.inside_message());
    EXPECT_FALSE(peer.receive_buffer().empty());
    peer.begin_close(1001, "bye");

    EXPECT_TRUE(peer.receive_buffer().empty());
    EXPECT_EQ(read(peer, wire.substr(20)), events{bare_close});
}

TEST(endpoint, counts_the_missing_bytes_of_a_frame)
{
    endpoint peer{limits};

    EXPECT_EQ(read(peer, header(fin | frames::binary, 1000)), events{});
    EXPECT_EQ(peer.frame_rest(), 1000U);
    EXPECT_EQ(read(peer, "123"), events{});
    EXPECT_EQ(peer.frame_rest(), 997U);
    peer.begin_close(1001, "bye");
    EXPECT_EQ(read(peer, std::string(990, 'x')), events{});
    EXPECT_EQ(peer.frame_rest(), 7U);
    EXPECT_EQ(read(peer, std::string(7, 'x')), events{});
    EXPECT_EQ(peer.frame_rest(), 0U);
    EXPECT_FALSE(peer.inside_frame());
    EXPECT_EQ(read(peer, frame(text, "x").substr(0, 1)), events{});
    EXPECT_EQ(peer.frame_rest(), 0U);
    EXPECT_TRUE(peer.inside_frame());
}

TEST(endpoint, counts_the_missing_bytes_of_a_frame_that_is_too_big)
{
    endpoint peer{limits};

    EXPECT_EQ(read(peer, header(text, 1ULL << 40) + "12345"),
              events{failed(error::message_too_big)});
    EXPECT_EQ(peer.frame_rest(), (1ULL << 40) - 5);
}

TEST(endpoint, reads_as_its_reader_does)
{
    EXPECT_EQ(
        read_all_ways<endpoint>(frame(frames::text, "a") + frame(ping, "1") +
                                frame(fin | frames::continuation, "b") +
                                frame(text, std::string(9000, 'c')) +
                                frame(pong) + frame(empty_close)),
        (events{control(event_type::ping, "1"), text_message("ab"),
                text_message(std::string(9000, 'c')), control(event_type::pong),
                closed(close_code::none_received)}));
}

TEST(endpoint, shows_the_buffer_of_an_assembled_message)
{
    endpoint peer{limits};
    const std::string wire = frame(text, "Hello");

    read(peer, wire.substr(0, 8));
    frames::received tail{wire.substr(8)};
    std::span<std::byte> input = tail.input();

    EXPECT_EQ(peer.next(input).payload.data(), peer.assembled().data());
}
