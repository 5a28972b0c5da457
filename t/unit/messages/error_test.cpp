// The status codes and texts of errors.
#include "protocol/frames/error.hpp"

#include "protocol/frames/close_code.hpp"
#include "protocol/text/utf8.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <set>
#include <span>
#include <string_view>
#include <vector>

using namespace websocket::protocol;

namespace {

std::vector<error> all_errors()
{
    std::vector<error> all;

    for (int i = 0; i <= static_cast<int>(error::out_of_memory); i++) {
        all.push_back(static_cast<error>(i));
    }

    return all;
}

} // namespace

TEST(error, each_has_a_code_valid_on_the_wire)
{
    for (const error reason : all_errors()) {
        EXPECT_TRUE(close_code::is_valid_on_wire(close_code_for(reason)))
            << describe(reason);
    }
}

TEST(error, each_has_words_that_fit_a_close_frame)
{
    for (const error reason : all_errors()) {
        const std::string_view text = describe(reason);

        EXPECT_EQ(text.empty(), reason == error::none) << int(reason);
        EXPECT_LE(text.size(), 123U) << text;
        EXPECT_TRUE(is_valid_utf8(std::as_bytes(std::span(text)))) << text;
    }
}

TEST(error, each_has_words_of_its_own)
{
    std::set<std::string_view> texts;

    for (const error reason : all_errors()) {
        EXPECT_TRUE(texts.insert(describe(reason)).second) << describe(reason);
    }
}

TEST(error, broken_framing_is_a_protocol_error)
{
    for (const error reason :
         {error::reserved_bits, error::reserved_opcode,
          error::control_fragmented, error::control_too_long, error::not_masked,
          error::length_not_minimal, error::length_top_bit,
          error::continuation_unexpected, error::continuation_expected,
          error::close_payload_truncated, error::close_code_invalid,
          error::close_reason_not_utf8}) {
        EXPECT_EQ(close_code_for(reason), 1002) << describe(reason);
    }
}

TEST(error, faults_of_messages_have_their_own_codes)
{
    EXPECT_EQ(close_code_for(error::none), 1000);
    EXPECT_EQ(close_code_for(error::kind_not_accepted), 1003);
    EXPECT_EQ(close_code_for(error::invalid_utf8), 1007);
    EXPECT_EQ(close_code_for(error::frame_too_big), 1009);
    EXPECT_EQ(close_code_for(error::message_too_big), 1009);
    EXPECT_EQ(close_code_for(error::out_of_memory), 1011);
}

TEST(error, value_outside_the_enum_is_an_internal_error)
{
    const auto unknown =
        static_cast<error>(static_cast<int>(error::out_of_memory) + 1);

    EXPECT_EQ(close_code_for(unknown), 1011);
    EXPECT_FALSE(describe(unknown).empty());
}
