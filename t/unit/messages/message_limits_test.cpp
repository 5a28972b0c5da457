// Messages that a location refuses by their header: over its size limits, or of
// a kind that it does not accept (RFC 6455 7.4.1).
#include "protocol/messages/message_reader.hpp"

#include "frame_builder.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

using namespace websocket::protocol;
using frames::binary_message;
using frames::control;
using frames::events;
using frames::failed;
using frames::fin;
using frames::frame;
using frames::header;
using frames::read_all_ways;
using frames::text_message;

namespace {

constexpr unsigned text = fin | frames::text;
constexpr unsigned binary = fin | frames::binary;
constexpr unsigned ping = fin | frames::ping;
constexpr unsigned more = frames::continuation;
constexpr unsigned last = fin | frames::continuation;

constexpr message_limits messages_of_100{.max_message_size = 100};
constexpr message_limits frames_of_100{.max_frame_size = 100};
constexpr message_limits text_alone{.binary_accepted = false};
constexpr message_limits binary_alone{.text_accepted = false};

void expect_failure(const std::string &start, error reason,
                    const message_limits &limits, const events &before = {})
{
    events expected = before;
    expected.push_back(failed(reason));

    EXPECT_EQ(read_all_ways(start, limits), expected);
    EXPECT_EQ(frames::bytes_until_failure(start + "more", limits), start.size())
        << describe(reason);
}

} // namespace

TEST(message_limits, take_a_message_of_the_size)
{
    const std::string largest(100, 'x');

    EXPECT_EQ(read_all_ways(frame(text, largest), messages_of_100),
              events{text_message(largest)});
    EXPECT_EQ(read_all_ways(frame(frames::text, largest.substr(0, 60)) +
                                frame(last, largest.substr(60)),
                            messages_of_100),
              events{text_message(largest)});
}

TEST(message_limits, refuse_a_larger_message_by_its_header)
{
    for (const std::uint64_t length :
         {std::uint64_t{101}, std::uint64_t{126}, std::uint64_t{65536},
          (std::uint64_t{1} << 63) - 1}) {
        expect_failure(header(binary, length), error::message_too_big,
                       messages_of_100);
    }
}

TEST(message_limits, refuse_what_has_come_as_a_whole)
{
    for (const std::size_t limit : {100U, 1000U, 60000U}) {
        for (const message_limits &limits :
             {message_limits{.max_message_size = limit},
              message_limits{.max_frame_size = limit}}) {
            const std::string largest(limit, 'x');
            const error reason = limits.max_frame_size == limit
                                     ? error::frame_too_big
                                     : error::message_too_big;

            EXPECT_EQ(frames::read_two_ways(frame(text, largest), limits),
                      events{text_message(largest)});
            EXPECT_EQ(frames::read_two_ways(frame(text, largest + "x"), limits),
                      events{failed(reason)});
        }
    }
}

TEST(message_limits, count_the_fragments_of_a_message)
{
    expect_failure(frame(frames::text, std::string(60, 'x')) +
                       frame(more, std::string(40, 'x')) + header(last, 1),
                   error::message_too_big, messages_of_100);
    expect_failure(frame(frames::binary, std::string(99, 'x')) +
                       header(more, (std::uint64_t{1} << 63) - 1),
                   error::message_too_big, messages_of_100);
}

TEST(message_limits, do_not_count_control_frames)
{
    const std::string half(50, 'x');
    const std::string body(125, 'p');

    EXPECT_EQ(
        read_all_ways(frame(frames::text, half) + frame(ping, body) +
                          frame(last, half),
                      messages_of_100),
        (events{control(event_type::ping, body), text_message(half + half)}));
    EXPECT_EQ(read_all_ways(frame(ping, body), frames_of_100),
              events{control(event_type::ping, body)});
}

TEST(message_limits, count_each_message_separately)
{
    const std::string largest(100, 'x');

    EXPECT_EQ(read_all_ways(frame(text, largest) + frame(text, largest),
                            messages_of_100),
              (events{text_message(largest), text_message(largest)}));
}

TEST(message_limits, of_zero_take_empty_messages)
{
    constexpr message_limits nothing{.max_message_size = 0};

    EXPECT_EQ(read_all_ways(frame(frames::text) + frame(last), nothing),
              events{text_message("")});
    expect_failure(header(text, 1), error::message_too_big, nothing);
}

TEST(message_limits, take_fragments_of_the_frame_size)
{
    const std::string largest(100, 'x');

    EXPECT_EQ(read_all_ways(frame(frames::text, largest) +
                                frame(more, largest) + frame(last, largest),
                            frames_of_100),
              events{text_message(largest + largest + largest)});
}

TEST(message_limits, refuse_a_larger_frame_by_its_header)
{
    expect_failure(header(text, 101), error::frame_too_big, frames_of_100);
    expect_failure(frame(frames::text, "x") + header(last, 101),
                   error::frame_too_big, frames_of_100);
}

TEST(message_limits, take_the_accepted_kinds)
{
    EXPECT_EQ(read_all_ways(frame(text, "x") + frame(ping), text_alone),
              (events{text_message("x"), control(event_type::ping)}));
    EXPECT_EQ(read_all_ways(frame(binary, "x") + frame(ping), binary_alone),
              (events{binary_message("x"), control(event_type::ping)}));
}

TEST(message_limits, refuse_other_kinds_by_their_header)
{
    expect_failure(header(binary, 5), error::kind_not_accepted, text_alone);
    expect_failure(header(frames::binary, 5), error::kind_not_accepted,
                   text_alone);
    expect_failure(frame(binary, "x") + header(text, 5),
                   error::kind_not_accepted, binary_alone,
                   {binary_message("x")});
}

TEST(message_limits, of_the_largest_number_do_not_overflow)
{
    constexpr message_limits all{.max_message_size = ~std::uint64_t{0},
                                 .max_frame_size = ~std::uint64_t{0}};
    const std::string enormous = header(more, (std::uint64_t{1} << 63) - 1);

    EXPECT_EQ(
        read_all_ways(frame(frames::binary, "x") + enormous + "part", all),
        events{});
}

TEST(message_limits, announced_frames_mark_the_first_of_a_message)
{
    constexpr message_limits announced{.frames_announced = true};
    std::string bytes = frame(text, "a") + frame(frames::binary, "") +
                        frame(ping, "p") + frame(more, "") + frame(last, "b") +
                        frame(text, "");
    std::span<std::byte> input =
        std::as_writable_bytes(std::span(bytes.data(), bytes.size()));
    message_reader reader{announced};
    std::string seen;

    for (event got = reader.next(input); got.type != event_type::need_input;
         got = reader.next(input)) {
        if (got.type == event_type::frame) {
            seen += got.first ? 'F' : 'f';
        } else {
            seen += got.type == event_type::ping ? 'p' : 'm';
        }
    }

    EXPECT_EQ(seen, "FmFpffmFm");
}
