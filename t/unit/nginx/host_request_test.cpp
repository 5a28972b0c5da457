// Requests that hosts send each other: formatting, parsing, and refusals.
#include "nginx/direct/host_request.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace websocket::nginx {

namespace {

TEST(host_request, is_read_as_it_was_written)
{
    using type = host_request::type;

    for (const type what : {type::message, type::count, type::users}) {
        for (const bool is_user : {false, true}) {
            const std::string_view payload("\0:\n1", 4);
            const std::string text =
                write_host_request({what,
                                    8,
                                    {"room", "key 1:2", is_user, "\xff:3"},
                                    std::as_bytes(std::span(payload))});
            const auto read = read_host_request(text);

            ASSERT_TRUE(read);
            EXPECT_EQ(read->what, what);
            EXPECT_EQ(read->message_kind, 8);
            EXPECT_EQ(read->target.handler, "room");
            EXPECT_EQ(read->target.key, "key 1:2");
            EXPECT_EQ(read->target.is_user, is_user);
            EXPECT_EQ(read->target.name, "\xff:3");
            EXPECT_EQ(std::string_view(
                          reinterpret_cast<const char *>(read->payload.data()),
                          read->payload.size()),
                      payload);
        }
    }
}

TEST(host_request, refuses_each_beginning)
{
    const std::string text =
        write_host_request({.target = {"room", "", true, "user"}});

    for (std::size_t size = 0; size != text.size(); size++) {
        EXPECT_FALSE(read_host_request(std::string_view(text).substr(0, size)))
            << size;
    }
}

TEST(host_request, refuses_other_types)
{
    std::string text =
        write_host_request({.target = {"room", "", true, "user"}});

    text[0] = 'x';
    EXPECT_FALSE(read_host_request(text));
}

TEST(host_request, answers_are_numbers)
{
    for (const bool no_memory : {false, true}) {
        const auto read =
            read_reached_clients(write_reached_clients({42, no_memory}));

        EXPECT_EQ(read.clients, 42U);
        EXPECT_EQ(read.no_memory, no_memory);
    }

    for (const std::string_view text : {"", "!", "x", "1x", "-1", "!1"}) {
        EXPECT_EQ(read_reached_clients(text).clients, 0U) << text;
    }
}

} // namespace

} // namespace websocket::nginx
