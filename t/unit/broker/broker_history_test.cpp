// The history of a log: its limits, and the messages that resuming readers get.
#include "broker_fixture.hpp"

using namespace broker_tests;

namespace {

class broker_history : public broker_test {
protected:
    broker_history() { make(); }

    void send_numbers(subscription to, int first, int last)
    {
        for (int i = first; i <= last; i++) {
            send(to, std::to_string(i));
        }
    }
};

texts numbers(int first, int last)
{
    texts all;

    for (int i = first; i <= last; i++) {
        all.push_back(std::to_string(i));
    }

    return all;
}

texts gap_and(texts more)
{
    more.insert(more.begin(), gap);
    return more;
}

} // namespace

TEST_F(broker_history, keeps_the_last_messages)
{
    const subscription a = subscribe(claim(1), "room", {.messages = 5});
    send_numbers(a, 1, 20);
    read(a);

    EXPECT_EQ(core.measure().entries, 5);
    EXPECT_EQ(core.describe("room", now).messages, 5);
    EXPECT_EQ(history(a, 15), numbers(16, 20));
    EXPECT_EQ(history(a, 0), gap_and(numbers(16, 20)));
    EXPECT_EQ(history(a, 18), numbers(19, 20));
    EXPECT_EQ(history(a, 20), texts{});
    EXPECT_EQ(history(a, 21), texts{});
}

TEST_F(broker_history, of_a_young_log_is_whole)
{
    const subscription a = subscribe(claim(1), "room", {.messages = 50});
    EXPECT_EQ(history(a, 0), texts{});
    send_numbers(a, 1, 20);
    read(a);

    EXPECT_EQ(history(a, 0), numbers(1, 20));
}

TEST_F(broker_history, is_kept_without_subscriptions)
{
    for (int i = 1; i <= 9; i++) {
        core.append("room", message_of(std::to_string(i), now),
                    limits{.messages = 3}, now);
    }

    EXPECT_EQ(core.measure().entries, 3);
    const subscription a = subscribe(claim(1), "room", {.messages = 3});
    EXPECT_EQ(read(a), texts{});
    EXPECT_EQ(history(a, 6), numbers(7, 9));
    EXPECT_EQ(history(a, 5), gap_and(numbers(7, 9)));
}

TEST_F(broker_history, ends_where_the_subscription_goes_on_reading)
{
    const subscription a = subscribe(claim(1), "room", {.messages = 10});
    send_numbers(a, 1, 5);
    read(a);
    send_numbers(a, 6, 8);

    EXPECT_EQ(core.passed_id(a).sequence, 5);
    EXPECT_EQ(core.last_id(a).sequence, 8);
    EXPECT_EQ(history(a, 2), numbers(3, 5));
    EXPECT_EQ(history(a, 6), texts{});
    EXPECT_EQ(read(a), numbers(6, 8));
    EXPECT_EQ(history(a, 2), numbers(3, 8));
}

TEST_F(broker_history, is_not_longer_for_a_slow_subscription)
{
    const unsigned slot_number = claim(1);
    const subscription a = subscribe(slot_number, "room", {.messages = 3});
    const subscription slow = subscribe(slot_number, "room", {.messages = 3});
    send_numbers(a, 1, 10);
    read(a);

    EXPECT_EQ(core.measure().entries, 10);
    EXPECT_EQ(history(a, 0), gap_and(numbers(8, 10)));
    EXPECT_EQ(core.describe("room", now).messages, 3);
    EXPECT_EQ(read(slow), numbers(1, 10));
    EXPECT_EQ(core.measure().entries, 3);
}

TEST_F(broker_history, keeps_nothing_older_than_it_may)
{
    const limits tenth{.messages = 100, .milliseconds = 1000};
    const subscription a = subscribe(claim(1), "room", tenth);

    for (int i = 1; i <= 10; i++, now += 300) {
        send(a, std::to_string(i));
    }
    read(a);

    // Sent 300, 600 and 900 ms before.
    EXPECT_EQ(history(a, 7), numbers(8, 10));
    EXPECT_EQ(history(a, 0), gap_and(numbers(8, 10)));
    expire_all();
    EXPECT_EQ(core.measure().entries, 3);

    now += 101;
    EXPECT_EQ(history(a, 8), numbers(9, 10));
    EXPECT_EQ(history(a, 7), gap_and(numbers(9, 10)));

    now += 10'000;
    EXPECT_EQ(history(a, 9), texts{gap});
    expire_all();
    EXPECT_EQ(core.measure().entries, 0);
    EXPECT_EQ(core.last_id(a).sequence, 10);
    EXPECT_EQ(history(a, 10), texts{});
}

TEST_F(broker_history, has_no_transient_entries)
{
    const subscription a = subscribe(claim(1), "room", {.messages = 4});

    for (int i = 1; i <= 6; i++) {
        core.append(a, transient_of("t"), now);
        send(a, std::to_string(i));
        core.append(a, transient_of("t"), now);
    }

    EXPECT_EQ(history(a, 0), texts{});
    EXPECT_EQ(read(a).size(), 18);
    EXPECT_EQ(core.measure().entries, 4);
    EXPECT_EQ(history(a, 2), numbers(3, 6));
}

TEST_F(broker_history, passes_over_transient_entries_that_others_want)
{
    const unsigned slot_number = claim(1);
    const subscription a = subscribe(slot_number, "room", {.messages = 4});
    const subscription slow = subscribe(slot_number, "room", {.messages = 4});

    core.append(a, transient_of("t"), now);
    send(a, "1");
    core.append(a, transient_of("t"), now);
    core.append(a, transient_of("t"), now);
    send(a, "2");
    core.append(a, transient_of("t"), now);
    read(a);

    EXPECT_EQ(history(a, 0), numbers(1, 2));
    EXPECT_EQ(history(a, 1), numbers(2, 2));
    EXPECT_EQ(history(a, 2), texts{});
    EXPECT_EQ(core.passed_id(slow).sequence, 0);
    EXPECT_EQ(core.measure().entries, 6);
    EXPECT_EQ(read(slow), (texts{"t", "1", "t", "t", "2", "t"}));
    EXPECT_EQ(core.measure().entries, 2);
}

TEST_F(broker_history, shrinks_and_grows_with_its_limits)
{
    const subscription a = subscribe(claim(1), "room", {.messages = 10});
    send_numbers(a, 1, 10);
    read(a);

    core.set_limits(a, {.messages = 2}, now);
    EXPECT_EQ(core.measure().entries, 2);
    core.set_limits(a, {.messages = 4}, now);
    send_numbers(a, 11, 12);
    read(a);
    EXPECT_EQ(history(a, 8), numbers(9, 12));
    core.set_limits(a, {}, now);
    EXPECT_EQ(core.measure().entries, 0);
    EXPECT_EQ(history(a, 11), texts{gap});
}

TEST_F(broker_history, that_is_cut_by_much_is_removed_in_steps)
{
    const subscription a = subscribe(claim(1), "room", {.messages = 1000});
    send_numbers(a, 1, 1000);
    read(a);

    core.set_limits(a, {.messages = 1}, now);
    EXPECT_GT(core.measure().entries, 900);
    EXPECT_EQ(history(a, 998), gap_and(numbers(1000, 1000)));
    expire_all();
    EXPECT_EQ(core.measure().entries, 1);
}

TEST_F(broker_history, does_not_reach_over_messages_that_were_not_kept)
{
    const limits much{.messages = 1000};
    const unsigned slot = claim(1);
    const subscription before = subscribe(slot, "room", much);
    send_numbers(before, 1, 400);
    read(before);
    core.set_limits(before, {}, now);
    core.unsubscribe(before, now);
    ASSERT_GT(core.measure().entries, 0);

    EXPECT_EQ(core.append("room", message_of("401"), {}, now).id.sequence, 401);
    const subscription after = subscribe(slot, "room", much);
    EXPECT_EQ(history(after, 395), texts{gap});
    EXPECT_EQ(history(after, 401), texts{});
    core.append(after, transient_of("t"), now);
    send_numbers(after, 402, 403);
    read(after);
    EXPECT_EQ(history(after, 401), numbers(402, 403));
    EXPECT_EQ(history(after, 400), gap_and(numbers(402, 403)));
    EXPECT_EQ(history(after, 0), gap_and(numbers(402, 403)));
}

TEST_F(broker_history, asks_for_a_larger_buffer_for_a_large_message)
{
    const subscription a = subscribe(claim(1), "room", {.messages = 3});
    const std::string large(5000, 'x');
    send(a, large);
    read(a);

    read_memory storage;
    const read_result result = core.read_history(a, 0, storage.buffers(), now);
    EXPECT_EQ(result.needed, 5000);
    EXPECT_EQ(result.count, 0);
    EXPECT_TRUE(result.more);
    EXPECT_EQ(history(a, 0), texts{large});
}

TEST_F(broker_history, reports_lost_unread_messages)
{
    const subscription a = subscribe(claim(1), "room", {.messages = 5000});
    send_numbers(a, 1, 3);
    read(a);
    while (core.measure().dropped_unread == 0) {
        send(a, std::string(5000, 'x'));
    }

    EXPECT_EQ(history(a, 2), texts{gap});
    EXPECT_GT(core.measure().dropped_history, 0);
}

TEST_F(broker_history, begins_in_a_new_epoch_after_the_log_was_removed)
{
    const limits few{.messages = 2};
    const unsigned slot_number = claim(1);
    const subscription a = subscribe(slot_number, "room", few);
    const message_id before = send(a, "1").id;
    read(a);
    core.unsubscribe(a, now);
    core.append("room", message_of("2"), few, now);
    const subscription again = subscribe(slot_number, "room", few);
    EXPECT_EQ(core.last_id(again).epoch, before.epoch);
    EXPECT_EQ(history(again, 1), numbers(2, 2));

    core.set_limits(again, {}, now);
    core.unsubscribe(again, now);
    forget_all();
    EXPECT_FALSE(core.describe("room", now).exists);
    EXPECT_EQ(core.measure().used, 0);

    const subscription other = subscribe(slot_number, "room", few);
    EXPECT_GT(core.last_id(other).epoch, before.epoch);
    EXPECT_EQ(core.last_id(other).sequence, 0);
}

TEST_F(broker_history, has_a_new_epoch_for_each_log_at_the_same_time)
{
    const message_id one = core.append("one", message_of("x"), {}, now).id;
    const message_id two = core.append("two", message_of("x"), {}, now).id;
    const message_id three = core.append("3", message_of("x"), {}, 5).id;

    EXPECT_EQ(one.epoch, now);
    EXPECT_EQ(two.epoch, now + 1);
    EXPECT_EQ(three.epoch, now + 2);
}
