// The number of messages that a client may send in some time.
#include "protocol/messages/rate_limit.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

using websocket::protocol::rate_limit;
using websocket::protocol::rate_limiter;

namespace {

constexpr std::uint64_t start = 1000000;

// The number of messages that are accepted at one moment.
int taken_at_once(rate_limiter &meter, const rate_limit &rate,
                  std::uint64_t now)
{
    int taken = 0;

    while (taken < 3000000 && meter.take(rate, now)) {
        taken++;
    }

    return taken;
}

} // namespace

TEST(rate_limit, burst_comes_at_once_beyond_the_first)
{
    rate_limiter meter;

    EXPECT_EQ(taken_at_once(meter, rate_limit::per_second(10, 5), start), 6);
}

TEST(rate_limit, without_burst_one_comes_at_a_time)
{
    const auto rate = rate_limit::per_second(10, 0);
    rate_limiter meter;

    EXPECT_TRUE(meter.take(rate, start));
    EXPECT_FALSE(meter.take(rate, start));
    EXPECT_FALSE(meter.take(rate, start + 99));
    EXPECT_TRUE(meter.take(rate, start + 100));
}

TEST(rate_limit, steady_sender_is_never_refused)
{
    const auto rate = rate_limit::per_second(3, 0);
    rate_limiter meter;

    for (std::uint64_t i = 0; i != 100000; i++) {
        // Every third of a second, rounded to milliseconds.
        ASSERT_TRUE(meter.take(rate, start + (i * 1000 + 2) / 3 + i)) << i;
    }
}

TEST(rate_limit, rate_is_exact_over_a_long_time)
{
    const auto rate = rate_limit::per_second(7, 3);
    rate_limiter meter;
    int taken = 0;

    for (std::uint64_t ms = 0; ms <= 600000; ms++) {
        taken += meter.take(rate, start + ms);
    }

    EXPECT_EQ(taken, 600 * 7 + 3 + 1);
}

TEST(rate_limit, rate_per_minute_loses_nothing_in_rounding)
{
    const auto rate = rate_limit::per_minute(7, 1);
    rate_limiter meter;
    int taken = 0;

    for (std::uint64_t ms = 0; ms <= 6000000; ms += 50) {
        taken += meter.take(rate, start + ms);
    }

    EXPECT_EQ(taken, 100 * 7 + 1 + 1);
}

TEST(rate_limit, minute_is_sixty_seconds)
{
    rate_limiter by_minute;
    rate_limiter by_second;

    for (std::uint64_t ms = 0; ms < 10000; ms += 7) {
        EXPECT_EQ(by_minute.take(rate_limit::per_minute(120, 4), start + ms),
                  by_second.take(rate_limit::per_second(2, 4), start + ms))
            << ms;
    }
}

TEST(rate_limit, refused_message_does_not_count)
{
    const auto rate = rate_limit::per_second(1, 0);
    rate_limiter meter;

    EXPECT_TRUE(meter.take(rate, start));

    for (std::uint64_t ms = 1; ms != 1000; ms++) {
        EXPECT_FALSE(meter.take(rate, start + ms));
    }

    EXPECT_TRUE(meter.take(rate, start + 1000));
}

TEST(rate_limit, silence_allows_no_more_than_the_burst)
{
    const auto rate = rate_limit::per_second(10, 5);
    rate_limiter meter;

    EXPECT_EQ(taken_at_once(meter, rate, start), 6);
    EXPECT_EQ(taken_at_once(meter, rate, start + 300), 3);
    EXPECT_EQ(taken_at_once(meter, rate, start + 100000000), 6);
}

TEST(rate_limit, highest_rate_after_the_longest_time)
{
    const auto rate = rate_limit::per_second(rate_limit::max, rate_limit::max);
    constexpr auto end = std::numeric_limits<std::uint64_t>::max();
    rate_limiter meter;

    EXPECT_EQ(taken_at_once(meter, rate, 0), 1000001);
    EXPECT_EQ(taken_at_once(meter, rate, 1), 1000);
    EXPECT_EQ(taken_at_once(meter, rate, end), 1000001);
}

TEST(rate_limit, time_that_goes_back_gives_nothing)
{
    const auto rate = rate_limit::per_second(1, 0);
    rate_limiter meter;

    EXPECT_TRUE(meter.take(rate, start));
    EXPECT_FALSE(meter.take(rate, start - 500));
    EXPECT_FALSE(meter.take(rate, 0));
    EXPECT_TRUE(meter.take(rate, 1000));
}
