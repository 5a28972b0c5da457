// The end of a session's turn.
#include "nginx/core/turn.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace websocket::nginx {
namespace {

void work_for(std::chrono::microseconds time)
{
    const auto end = std::chrono::steady_clock::now() + time;

    while (std::chrono::steady_clock::now() < end) {}
}

constexpr std::chrono::microseconds longer_than_a_turn{600};

TEST(turn, little_work_is_never_over)
{
    turn current;

    current.begin_with_clock();
    work_for(longer_than_a_turn);
    current.spend(turn::unit);
    EXPECT_FALSE(current.over());
}

TEST(turn, without_a_clock_the_time_counts_after_the_first_unit)
{
    turn current;

    current.begin();
    work_for(longer_than_a_turn);
    current.spend(turn::unit + 1);
    EXPECT_FALSE(current.over());
    work_for(longer_than_a_turn);
    current.spend(turn::unit + 1);
    EXPECT_TRUE(current.over());
    EXPECT_TRUE(current.over());
}

TEST(turn, with_a_clock_the_time_counts_from_the_beginning)
{
    turn current;

    current.begin_with_clock();
    work_for(longer_than_a_turn);
    current.spend(turn::unit + 1);
    EXPECT_TRUE(current.over());
    EXPECT_TRUE(current.over());
}

TEST(turn, can_begin_again)
{
    turn current;

    current.begin_with_clock();
    work_for(longer_than_a_turn);
    current.spend(turn::unit + 1);
    ASSERT_TRUE(current.over());
    current.begin();
    EXPECT_FALSE(current.over());
    current.spend(turn::unit + 1);
    EXPECT_FALSE(current.over());
}

} // namespace
} // namespace websocket::nginx
