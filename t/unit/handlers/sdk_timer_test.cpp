// Timers of the C++ SDK.
#include "sdk_fixture.hpp"

#include <stdexcept>
#include <string>
#include <utility>

using namespace sdk_tests;

namespace {

class sdk_timer : public sdk {};

} // namespace

TEST_F(sdk_timer, a_timer_fires_once_or_again)
{
    int once = 0;
    int often = 0;

    const websocket::timer single = room().after(5, [&] { once++; });
    const websocket::timer repeated = room().every(10, [&] { often++; });
    EXPECT_TRUE(single.active());
    EXPECT_EQ(server_side_.timers.front().milliseconds, 5U);

    fire(server_side_.timers.front());
    fire(server_side_.timers.back());
    fire(server_side_.timers.back());

    EXPECT_EQ(once, 1);
    EXPECT_EQ(often, 2);
    EXPECT_FALSE(single.active());
    EXPECT_TRUE(repeated.active());
}

TEST_F(sdk_timer, a_timer_may_be_cancelled_in_its_own_call)
{
    const std::string kept(100, 'k');
    std::string seen;

    for (const bool repeats : {false, true}) {
        websocket::timer timer;
        const auto call = [&timer, &seen, kept] {
            timer.cancel();
            timer.cancel();
            seen += kept;
        };

        timer = repeats ? room().every(1, call) : room().after(1, call);
        fire(server_side_.timers.back());
        EXPECT_EQ(server_side_.timers.back().fired, nullptr);
        EXPECT_FALSE(timer.active());
    }

    EXPECT_EQ(seen, kept + kept);
}

TEST_F(sdk_timer, a_timer_that_throws_is_logged_and_goes_on)
{
    room().every(1, [] { throw std::runtime_error("late"); });
    fire(server_side_.timers.back());
    fire(server_side_.timers.back());

    EXPECT_EQ(logged, "4:exception in a timer: late|"
                      "4:exception in a timer: late|");
}

TEST_F(sdk_timer, timers_end_with_the_resource_and_handles_outlive_it)
{
    websocket::timer left = room().every(1, [] {});

    busy_->resource_destroyed(std::exchange(object_, nullptr));
    EXPECT_EQ(server_side_.timers.back().fired, nullptr);
    EXPECT_FALSE(left.active());
    left.cancel();
}

TEST_F(sdk_timer, a_timer_that_the_server_does_not_give_is_none)
{
    server_side_.gives_timers = false;
    websocket::timer none = room().after(1, [] {});

    EXPECT_FALSE(none.active());
    none.cancel();
}
