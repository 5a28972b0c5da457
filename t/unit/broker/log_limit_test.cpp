// The share of the memory that one log may use (websocket_room_memory).
#include "full_memory.hpp"
#include "fault_counter.hpp"

#include <algorithm>

using namespace broker_tests;

namespace {

class log_limit : public full_memory {};

} // namespace

TEST_F(log_limit, drops_the_oldest_of_a_log_over_its_limit)
{
    const limits all{.messages = 100'000};
    const subscription quiet = subscribe(slot, "quiet", all);
    const subscription loud = subscribe(slot, "loud", all);
    core.limit_logs(16 * kibibyte);
    send(quiet, "kept");
    read(quiet);

    std::uint32_t dropped = 0;
    for (int i = 1; i <= 100; i++) {
        dropped += send(loud, std::string(1000, 'x')).dropped;
        read(loud);
    }
    // 9 blocks of 128 bytes per message
    EXPECT_EQ(core.describe("loud", now).messages, 14);
    EXPECT_EQ(dropped, 86);
    EXPECT_EQ(core.measure().dropped_over_limit, 86);
    EXPECT_EQ(all_dropped(), 0);
    EXPECT_EQ(history(quiet, 0), texts{"kept"});
    EXPECT_EQ(history(loud, 0).front(), gap);
}

TEST_F(log_limit, drops_unread_messages_of_a_log_over_its_limit)
{
    const subscription slow = subscribe(slot);
    core.limit_logs(16 * kibibyte);

    for (int i = 1; i <= 20; i++) {
        send(slow, std::string(1000, 'x'));
    }
    const texts late = read(slow);
    EXPECT_EQ(late.size(), 15);
    EXPECT_EQ(late.front(), gap);
    EXPECT_EQ(core.measure().dropped_over_limit, 6);
    EXPECT_EQ(core.measure().entries, 0);
    send(slow, "after");
    EXPECT_EQ(read(slow), texts{"after"});
}

TEST_F(log_limit, refuses_a_message_over_the_limit)
{
    const subscription a = subscribe(slot, "a", {.messages = 9});
    core.limit_logs(16 * kibibyte);
    send(a, "one");

    EXPECT_TRUE(core.fits(16 * kibibyte - 64));
    EXPECT_FALSE(core.fits(16 * kibibyte - 63));
    EXPECT_EQ(
        core.append(a, message_of(std::string(16 * kibibyte - 63, 'x')), now)
            .result,
        outcome::no_memory);
    EXPECT_EQ(core.measure().refused, 1);
    EXPECT_EQ(core.describe("a", now).messages, 1);
    EXPECT_EQ(
        core.append(a, message_of(std::string(16 * kibibyte - 64, 'x')), now)
            .result,
        outcome::done);

    // The host's own logs are not limited
    const subscription host_log = subscribe(slot, ":own");
    EXPECT_EQ(
        core.append(host_log, message_of(std::string(50'000, 'x')), now).result,
        outcome::done);
}

TEST_F(log_limit, sweep_frees_logs_over_a_lower_limit)
{
    const subscription a = subscribe(slot, "a", {.messages = 1000});
    for (int i = 1; i <= 100; i++) {
        send(a, std::string(1000, 'x'));
        read(a);
    }
    EXPECT_EQ(core.describe("a", now).messages, 100);
    core.limit_logs(16 * kibibyte);
    expire_all();
    EXPECT_EQ(core.describe("a", now).messages, 14);
    core.limit_logs(0);
    for (int i = 1; i <= 100; i++) {
        send(a, std::string(1000, 'x'));
        read(a);
    }
    EXPECT_EQ(core.describe("a", now).messages, 114);
}
