// Status codes that a Close frame may have (RFC 6455 7.4).
#include "protocol/frames/close_code.hpp"

#include <gtest/gtest.h>

#include <cstdint>

using namespace websocket::protocol;

namespace {

void expect_all(bool expected, std::uint16_t first, std::uint16_t last)
{
    for (unsigned code = first; code <= last; code++) {
        EXPECT_EQ(
            close_code::is_valid_on_wire(static_cast<std::uint16_t>(code)),
            expected)
            << code;
    }
}

} // namespace

TEST(close_code, defined_ones_are_valid_on_the_wire)
{
    expect_all(true, 1000, 1003);
    expect_all(true, 1007, 1014);
}

TEST(close_code, those_for_local_use_are_not_valid_on_the_wire)
{
    expect_all(false, 1004, 1006);
    expect_all(false, 1015, 1015);
}

TEST(close_code, unassigned_ones_are_not_valid_on_the_wire)
{
    expect_all(false, 0, 999);
    expect_all(false, 1016, 2999);
}

TEST(close_code, those_of_libraries_and_applications_are_valid)
{
    expect_all(true, 3000, 3999);
    expect_all(true, 4000, 4999);
}

TEST(close_code, those_beyond_applications_are_not_valid)
{
    expect_all(false, 5000, 65535);
}

TEST(close_code, names_have_the_values_of_the_rfc)
{
    EXPECT_EQ(close_code::normal, 1000);
    EXPECT_EQ(close_code::going_away, 1001);
    EXPECT_EQ(close_code::protocol_error, 1002);
    EXPECT_EQ(close_code::unsupported_data, 1003);
    EXPECT_EQ(close_code::none_received, 1005);
    EXPECT_EQ(close_code::abnormal, 1006);
    EXPECT_EQ(close_code::invalid_payload, 1007);
    EXPECT_EQ(close_code::policy_violation, 1008);
    EXPECT_EQ(close_code::message_too_big, 1009);
    EXPECT_EQ(close_code::internal_error, 1011);
    EXPECT_EQ(close_code::try_again_later, 1013);
}
