// The position of a log that Redis numbers: gaps in it, and other epochs.
#include "broker_fixture.hpp"

#include <algorithm>

using namespace broker_tests;

namespace {

class broker_position : public outer_room_test {
protected:
    broker_position() : slot_a{claim(1)}, slot_b{claim(2)} {}

    void subscribe_both(std::uint64_t last)
    {
        a = subscribe(slot_a, "room", {.messages = 100});
        b = subscribe(slot_b, "room", {.messages = 100});
        reset_position(outer, last);
    }

    unsigned slot_a;
    unsigned slot_b;
    subscription a;
    subscription b;
};

} // namespace

TEST_F(broker_position, creates_no_log)
{
    EXPECT_EQ(reset_position(outer, 0).result, outcome::gone);
    EXPECT_EQ(reset_position(0, 0).result, outcome::gone);
    EXPECT_EQ(core.reset_position(std::string(max_name_size + 1, 'n'),
                                  {outer, 1}, true, now)
                  .result,
              outcome::gone);
    EXPECT_EQ(core.measure().logs, 0);
}

TEST_F(broker_position, returns_the_new_position)
{
    subscribe_both(0);
    EXPECT_EQ(core.join(a, 0), outcome::done);

    const append_result done = reset_position(outer, 40, true);
    EXPECT_EQ(done.result, outcome::done);
    EXPECT_EQ(done.id, (message_id{outer, 40}));
    EXPECT_EQ(done.clients, 1);
    EXPECT_EQ(done.wake, slot_set{3});
    EXPECT_EQ(core.describe("room", now).last, done.id);
}

TEST_F(broker_position, to_no_epoch_is_refused)
{
    subscribe_both(4);
    EXPECT_EQ(reset_position(0, 9, true).result, outcome::out_of_order);
    EXPECT_EQ(reset_position(0, 9).id, (message_id{outer, 4}));
    EXPECT_EQ(drain(slot_a), texts{});
}

TEST_F(broker_position, to_the_present_position_changes_nothing)
{
    subscribe_both(4);
    relay_all(5, 6);
    read(a);
    EXPECT_EQ(reset_position(outer, 6).result, outcome::done);
    EXPECT_TRUE(reset_position(outer, 6).wake.none());
    EXPECT_EQ(read(a), texts{});
    EXPECT_EQ(read(b), (texts{"5", "6"}));
    EXPECT_EQ(history(a, 4), (texts{"5", "6"}));
}

TEST_F(broker_position, reports_a_loss_in_its_place)
{
    subscribe_both(0);
    relay_all(1, 2);
    drain(slot_a);

    // a has read all, so its slot must be woken; b was woken before.
    EXPECT_EQ(reset_position(outer, 5, true).wake, slot_set{1ULL << slot_a});
    EXPECT_EQ(drain(slot_a), texts{gap});
    relay_all(6, 7);
    EXPECT_EQ(drain(slot_a), (texts{"6", "7"}));
    EXPECT_EQ(drain(slot_b), (texts{"1", "2", gap, "6", "7"}));
    EXPECT_EQ(read(b), texts{});
}

TEST_F(broker_position, reports_a_loss_after_the_last_unread_entry)
{
    subscribe_both(0);
    relay_all(1, 2);
    reset_position(outer, 2, true);

    read_memory storage(64, 4096);
    read_result result = core.read(a, storage.buffers(), now);
    EXPECT_EQ(result.count, 2);
    EXPECT_FALSE(result.lost);
    EXPECT_TRUE(result.more);
    result = core.read(a, storage.buffers(), now);
    EXPECT_EQ(result.count, 0);
    EXPECT_TRUE(result.lost);
    EXPECT_FALSE(result.more);
    EXPECT_EQ(core.passed_id(a), (message_id{outer, 2}));
}

TEST_F(broker_position, reports_each_loss_once)
{
    subscribe_both(0);
    reset_position(outer, 3, true);
    reset_position(outer, 4, true);
    EXPECT_EQ(drain(slot_a), texts{gap});
    reset_position(outer, 5, true);
    EXPECT_EQ(drain(slot_a), texts{gap});
    relay_all(6, 6);
    reset_position(outer, 6, true);
    reset_position(outer, 8, true);
    relay_all(9, 9);
    reset_position(outer, 9, true);
    EXPECT_EQ(drain(slot_a), (texts{"6", gap, "9", gap}));
    EXPECT_EQ(drain(slot_b), (texts{gap, "6", gap, "9", gap}));
    EXPECT_EQ(check_integrity(core), "");
}

TEST_F(broker_position, asks_for_a_larger_buffer_after_a_gap_too)
{
    const std::string large(5000, 'x');
    subscribe_both(0);
    relay_all(1, 1);
    reset_position(outer, 1, true);
    core.append_external("room", message_of(large), {outer, 2}, now);

    read_memory storage;
    read_result result = core.read(a, storage.buffers(), now);
    EXPECT_EQ(result.count, 1);
    result = core.read(a, storage.buffers(), now);
    EXPECT_EQ(result.needed, 5000);
    EXPECT_FALSE(result.lost);
    EXPECT_EQ(read(a), (texts{gap, large}));
}

TEST_F(broker_position, joins_dropped_entries_and_the_gap_after_them)
{
    subscribe_both(0);
    relay_all(1, 3);
    reset_position(outer, 3, true);
    std::uint64_t last = 3;

    while (core.measure().dropped_unread < 3) {
        core.append_external("room", message_of(std::string(3000, 'x')),
                             {outer, ++last}, now);
    }
    const std::size_t left = core.measure().entries;
    const texts all = read(a);
    EXPECT_EQ(all[0], gap);
    EXPECT_EQ(std::count(all.begin(), all.end(), gap), 1);
    EXPECT_EQ(all.size(), left + 1);
}

TEST_F(broker_position, further_on_ends_the_history_at_the_gap)
{
    subscribe_both(0);
    relay_all(1, 3);
    read(a);
    EXPECT_EQ(reset_position(outer, 10).result, outcome::done);

    EXPECT_EQ(read(a), texts{});
    EXPECT_EQ(history(a, 10), texts{});
    EXPECT_EQ(history(a, 2), texts{gap});
    EXPECT_EQ(read(b), (texts{"1", "2", "3"}));
    relay_all(11, 12);
    drain(slot_a);
    EXPECT_EQ(history(a, 10), (texts{"11", "12"}));
    EXPECT_EQ(history(a, 9), (texts{gap, "11", "12"}));
    EXPECT_EQ(history(a, 1), (texts{gap, "11", "12"}));
}

TEST_F(broker_position, further_on_leaves_unread_entries_and_their_history)
{
    subscribe_both(0);
    relay_all(1, 4);
    read_memory storage(2, 512);
    core.read(a, storage.buffers(), now);
    reset_position(outer, 10, true);
    relay_all(11, 11);

    EXPECT_EQ(core.passed_id(a), (message_id{outer, 2}));
    EXPECT_EQ(history(a, 0), (texts{"1", "2"}));
    EXPECT_EQ(read(a), (texts{"3", "4", gap, "11"}));
}

TEST_F(broker_position, further_on_without_subscriptions_wakes_no_slot)
{
    core.append("room", message_of("x"), limits{.messages = 9}, now);
    reset_position(outer, 0);
    relay_all(1, 2);
    EXPECT_TRUE(reset_position(outer, 6, true).wake.none());
    a = subscribe(slot_a, "room", {.messages = 9});
    EXPECT_EQ(read(a), texts{});
    relay_all(7, 7);
    EXPECT_EQ(read(a), texts{"7"});
    EXPECT_EQ(history(a, 6), texts{"7"});
    EXPECT_EQ(history(a, 1), (texts{gap, "7"}));
}

TEST_F(broker_position, to_another_epoch_reports_a_loss_of_unread_entries)
{
    subscribe_both(0);
    relay_all(1, 3);
    read(a);
    EXPECT_TRUE(reset_position(outer + 1, 1).wake.none()); // b was woken before

    EXPECT_EQ(core.measure().entries, 0);
    EXPECT_EQ(core.measure().dropped_unread, 0);
    EXPECT_EQ(read(a), texts{});
    EXPECT_EQ(history(a, 1), texts{});
    EXPECT_EQ(history(a, 0), texts{gap});
    EXPECT_EQ(append_external(4).result, outcome::out_of_order);
    relay_all(2, 3, outer + 1);
    EXPECT_EQ(drain(slot_a), (texts{"2", "3"}));
    EXPECT_EQ(drain(slot_b), (texts{gap, "2", "3"}));
    EXPECT_EQ(core.passed_id(a), (message_id{outer + 1, 3}));
}

TEST_F(broker_position, to_another_epoch_with_a_loss_is_reported_to_all_once)
{
    subscribe_both(0);
    relay_all(1, 3);
    drain(slot_a);
    EXPECT_EQ(reset_position(outer + 1, 0, true).wake,
              slot_set{1ULL << slot_a});
    EXPECT_EQ(drain(slot_a), texts{gap});
    EXPECT_EQ(drain(slot_b), texts{gap});

    EXPECT_EQ(reset_position(outer + 2, 0, true).wake, slot_set{3});
    relay_all(1, 1, outer + 2);
    EXPECT_EQ(drain(slot_a), (texts{gap, "1"}));
    EXPECT_EQ(drain(slot_b), (texts{gap, "1"}));
}

TEST_F(broker_position, to_another_epoch_without_subscriptions_clears_the_log)
{
    core.append("room", message_of("x"), limits{.messages = 9}, now);
    reset_position(outer, 0);
    relay_all(1, 5);
    ASSERT_EQ(core.measure().entries, 5);
    EXPECT_EQ(reset_position(outer + 1, 2).result, outcome::done);
    EXPECT_EQ(core.measure().entries, 0);
    relay_all(3, 3, outer + 1);
    a = subscribe(slot_a, "room", {.messages = 9});
    EXPECT_EQ(history(a, 2), texts{"3"});
    EXPECT_EQ(history(a, 0), (texts{gap, "3"}));

    core.set_limits(a, {}, now);
    core.unsubscribe(a, now);
    forget_all(); // it is in the list of unused logs
    EXPECT_EQ(core.measure().used, 0);
}

TEST_F(broker_position, back_in_the_same_epoch_removes_what_is_there)
{
    subscribe_both(0);
    relay_all(1, 5);
    read(a);
    EXPECT_EQ(reset_position(outer, 4).id, (message_id{outer, 4}));
    EXPECT_EQ(core.measure().entries, 0);
    EXPECT_EQ(append_external(4).result, outcome::duplicate);
    relay_all(5, 5);
    EXPECT_EQ(read(a), texts{"5"});
    EXPECT_EQ(read(b), (texts{gap, "5"}));
}

TEST_F(broker_position, clears_a_log_of_any_length)
{
    make(4096 * kibibyte);
    a = subscribe(claim(1), "room", {.messages = 10'000});
    b = subscribe(claim(2), "other");
    reset_position(outer, 0);

    for (std::uint64_t i = 1; i <= 4000; i++) {
        append_external(i);
        core.append_external("room", transient_of("t"), {}, now);
        send(b, "other");
    }
    EXPECT_EQ(reset_position(outer + 1, 7).id, (message_id{outer + 1, 7}));
    EXPECT_EQ(check_integrity(core), "");
    EXPECT_EQ(core.measure().entries, 4000);
    EXPECT_EQ(read(a), texts{gap});
    EXPECT_EQ(read(b).size(), 4000);
}

TEST_F(broker_position, removes_the_log_s_own_messages_at_first)
{
    a = subscribe(slot_a, "room", {.messages = 9});
    send(a, "local");
    read(a);
    reset_position(outer, 1);
    EXPECT_EQ(history(a, 0), texts{gap});
    EXPECT_EQ(history(a, 1), texts{});
    relay_all(2, 2);
    EXPECT_EQ(read(a), texts{"2"});
}
