// Full memory: entries that are dropped for new ones, reports of the loss, and
// messages that are refused.
#include "full_memory.hpp"
#include "fault_counter.hpp"

#include <algorithm>

using namespace broker_tests;

TEST_F(full_memory, makes_space_for_the_newest_and_reports_the_loss)
{
    const subscription slow = subscribe(slot);
    const int sent = fill(slow, 3);
    const texts read_late = read(slow);

    ASSERT_EQ(read_late.size(), sent - 3 + 1);
    EXPECT_EQ(read_late.front(), gap);
    for (int i = 3; i < sent; i++) {
        EXPECT_EQ(read_late[i - 2], std::to_string(i));
    }
    EXPECT_EQ(core.measure().dropped_unread, 3);
    EXPECT_EQ(core.measure().dropped_history, 0);

    send(slow, "after");
    EXPECT_EQ(read(slow), texts{"after"});
}

TEST_F(full_memory, drops_nothing_of_readers_that_are_up_to_date)
{
    const subscription slow = subscribe(slot);
    const subscription quick = subscribe(slot);
    int sent = 0;

    for (; core.measure().dropped_unread < 100; sent++) {
        send(quick, std::to_string(sent));
        EXPECT_EQ(read(quick), texts{std::to_string(sent)});
    }

    EXPECT_EQ(read(slow).size(), sent - 100 + 1);
    EXPECT_EQ(core.measure().entries, 0);
}

TEST_F(full_memory, reports_a_loss_at_once_to_a_reader_in_the_middle)
{
    const subscription slow = subscribe(slot);
    for (int i = 0; i < 10; i++) {
        send(slow, "x");
    }
    read_memory storage(2);
    EXPECT_FALSE(core.read(slow, storage.buffers(), now).lost);

    const int sent = fill(slow, 5);
    read_result result = core.read(slow, storage.buffers(), now);
    EXPECT_TRUE(result.lost);
    EXPECT_EQ(result.count, 2);
    EXPECT_EQ(storage.first(1)[0].position, 8);
    result = core.read(slow, storage.buffers(), now);
    EXPECT_FALSE(result.lost);
    EXPECT_EQ(read(slow).size(), sent + 10 - 2 - 5 - 4);
}

TEST_F(full_memory, reports_the_loss_of_everything)
{
    const subscription slow = subscribe(slot, "slow");
    const subscription loud = subscribe(slot, "loud");
    send(slow, "lost");
    fill(loud, 1);

    EXPECT_EQ(core.next_unread(slot).handle, slow);
    read_memory storage;
    const read_result result = core.read(slow, storage.buffers(), now);
    EXPECT_TRUE(result.lost);
    EXPECT_EQ(result.count, 0);
    EXPECT_FALSE(result.more);
    EXPECT_EQ(read(slow), texts{});
}

TEST_F(full_memory, remembers_a_loss_while_the_buffer_is_too_small)
{
    const subscription slow = subscribe(slot);
    for (int i = 0; core.measure().dropped_unread == 0; i++) {
        send(slow, std::string(1000, 'x'));
    }

    read_memory storage(4, 100);
    read_result result = core.read(slow, storage.buffers(), now);
    EXPECT_EQ(result.needed, 1000);
    EXPECT_FALSE(result.lost);
    storage.grow(1000);
    EXPECT_TRUE(core.read(slow, storage.buffers(), now).lost);
    EXPECT_FALSE(core.read(slow, storage.buffers(), now).lost);
}

TEST_F(full_memory, drops_history_oldest_first_over_all_logs)
{
    const limits all{.messages = 100'000};
    const subscription a = subscribe(slot, "a", all);
    const subscription b = subscribe(slot, "b", all);
    int sent = 0;

    for (; core.measure().dropped_history < 11; sent++) {
        send(sent % 2 == 0 ? a : b, std::to_string(sent));
        read(sent % 2 == 0 ? a : b);
    }

    EXPECT_EQ(core.measure().dropped_unread, 0);
    const texts of_a = history(a, 6);
    const texts of_b = history(b, 5);
    EXPECT_EQ(of_a.front(), "12");
    EXPECT_EQ(of_b.front(), "11");
    EXPECT_EQ(of_a.size() + of_b.size(), sent - 11);
    EXPECT_EQ(history(a, 5).front(), gap);
}

TEST_F(full_memory, makes_space_for_a_message_of_half_the_memory)
{
    const subscription a = subscribe(slot);
    fill(a, 1);
    const std::string large(half - 64, 'l');

    EXPECT_EQ(send(a, large).result, outcome::done);
    const texts all = read(a);
    EXPECT_EQ(all.front(), gap);
    EXPECT_EQ(all.back(), large);
    EXPECT_EQ(core.measure().refused, 0);
}

TEST_F(full_memory, refuses_more_than_half_and_drops_nothing)
{
    const subscription a = subscribe(slot);
    send(a, "one");
    const std::string more(half - 63, 'm');

    const append_result refused = core.append(a, message_of(more), now);
    EXPECT_EQ(refused.result, outcome::no_memory);
    EXPECT_EQ(refused.id.sequence, 1);
    EXPECT_TRUE(refused.wake.none());
    EXPECT_EQ(core.measure().refused, 1);
    EXPECT_EQ(send(a, "two").id.sequence, 2);
    EXPECT_EQ(read(a), (texts{"one", "two"}));
}

TEST_F(full_memory, refuses_if_subscriptions_fill_it)
{
    std::vector<subscription> all;

    for (;;) {
        const subscribed result =
            core.subscribe(slot, std::to_string(all.size()), nullptr, {}, now);
        if (result.result != outcome::done) {
            EXPECT_EQ(result.result, outcome::no_memory);
            break;
        }
        all.push_back(result.handle);
    }

    EXPECT_EQ(check_integrity(core), "");
    EXPECT_GT(core.measure().used + 3 * 128, core.measure().size);
    EXPECT_EQ(
        core.append(all[0], message_of(std::string(300, 'x')), now).result,
        outcome::no_memory);
    EXPECT_EQ(
        core.append(std::string(300, 'n'), message_of("x"), {}, now).result,
        outcome::no_memory);
    EXPECT_EQ(core.measure().refused, 3);

    for (const subscription each : all) {
        core.unsubscribe(each, now);
    }
    EXPECT_EQ(
        core.append(std::string(300, 'n'), message_of("x"), {}, now).result,
        outcome::done);
    forget_all();
    EXPECT_EQ(core.measure().used, 0);
}

TEST_F(full_memory, frees_unused_logs_before_any_message)
{
    const subscription a = subscribe(slot, "a", {.messages = 100'000});
    send(a, "kept");
    for (int i = 0; i < 100; i++) {
        core.append("unused " + std::to_string(i), message_of("x"), {}, now);
    }
    core.append("unused 0", message_of("used again"), {}, now);

    while (core.measure().logs > 91) {
        send(a, "x");
    }
    EXPECT_TRUE(core.describe("unused 0", now).exists);
    for (int i = 1; i <= 10; i++) {
        EXPECT_FALSE(core.describe("unused " + std::to_string(i), now).exists);
    }
    EXPECT_TRUE(core.describe("unused 11", now).exists);
    EXPECT_EQ(all_dropped(), 0);
    EXPECT_EQ(read(a).front(), "kept");
}

TEST_F(full_memory, never_frees_the_log_of_the_message)
{
    const limits one{.messages = 1};
    const subscription loud = subscribe(slot, "loud");
    fill(loud, 1);
    core.append("small", message_of("x"), one, now);

    // The next message displaces its only one, and then the log would be
    // unused.
    while (core.describe("small", now).messages == 1) {
        send(loud, "x");
    }
    EXPECT_TRUE(core.describe("small", now).exists);
    const std::string large(half - 64, 'l');
    const append_result sent =
        core.append("small", message_of(large), one, now);
    EXPECT_EQ(sent.result, outcome::done);
    EXPECT_EQ(sent.id.sequence, 2);
    const append_result next =
        core.append("small", message_of(large), one, now);
    EXPECT_EQ(next.id.sequence, 3);
    EXPECT_EQ(next.id.epoch, sent.id.epoch);
}

TEST_F(full_memory, frees_unused_logs_in_time)
{
    core.append("first", message_of("x"), {}, now);
    core.append("second", message_of("x"), {}, now);
    now += unused_log_ttl - 1;
    core.append("second", message_of("x"), {}, now);
    expire_all();
    EXPECT_TRUE(core.describe("first", now).exists);

    now += 1;
    expire_all();
    EXPECT_FALSE(core.describe("first", now).exists);
    EXPECT_TRUE(core.describe("second", now).exists);
    EXPECT_EQ(core.describe("second", now).last.sequence, 2);
    now += unused_log_ttl;
    expire_all();
    EXPECT_EQ(core.measure().used, 0);
}

TEST_F(full_memory, frees_logs_that_were_only_described)
{
    core.append("aged", message_of("x", now),
                limits{.messages = 1, .milliseconds = 1000}, now);
    EXPECT_EQ(core.describe("aged", now).messages, 1);
    now += 1001;
    EXPECT_EQ(core.describe("aged", now).messages, 0); // before any sweep
    EXPECT_EQ(check_integrity(core), "");
    now += unused_log_ttl;
    expire_all();
    EXPECT_EQ(core.measure().used, 0);
}

TEST_F(full_memory, holds_ten_thousand_logs)
{
    make(8192 * kibibyte);
    slot = claim(1);
    std::vector<subscription> all;

    for (int i = 0; i < 10'000; i++) {
        all.push_back(subscribe(slot, "room number " + std::to_string(i)));
    }
    for (int i = 0; i < 10'000; i++) {
        core.append("room number " + std::to_string(i),
                    message_of(std::to_string(i)), {}, now);
    }
    EXPECT_EQ(core.measure().logs, 10'000);
    EXPECT_EQ(check_integrity(core), "");

    for (int i = 0; i < 10'000; i++) {
        EXPECT_EQ(core.next_unread(slot).handle, all[i]);
        EXPECT_EQ(read(all[i]), texts{std::to_string(i)});
    }
    core.release(slot, now);
    forget_all();
    EXPECT_EQ(core.measure().used, 0);
}

TEST_F(full_memory, sweeps_in_steps_of_the_given_size)
{
    for (int i = 0; i < 500; i++) {
        core.append("room", message_of("x", now),
                    limits{.messages = 1000, .milliseconds = 10}, now);
    }
    now += 11;

    std::uint64_t before = core.measure().entries;
    while (before > 0) {
        core.expire(now, 7);
        const std::uint64_t after = core.measure().entries;
        EXPECT_LE(before - after, 7);
        before = after;
    }
}

TEST_F(full_memory, sweeps_with_few_entries_per_lock)
{
    for (int i = 0; i < 500; i++) {
        core.append("room", message_of("x", now),
                    limits{.messages = 1000, .milliseconds = 10}, now);
    }
    now += 11;
    const fault_counter count;
    expire_all();
    EXPECT_EQ(core.measure().entries, 0);
    EXPECT_GT(count.max("entry.unlinked"), 0);
    EXPECT_LE(count.max("entry.unlinked"), 64);
}

TEST_F(full_memory, unsubscribing_frees_few_entries_per_lock)
{
    const subscription slow = subscribe(slot);
    for (int i = 0; i < 500; i++) {
        send(slow, "x");
    }
    const fault_counter count;
    core.unsubscribe(slow, now);
    EXPECT_LE(count.max("entry.unlinked"), 64);
    expire_all();
    EXPECT_EQ(core.measure().entries, 0);
}

TEST_F(full_memory, makes_space_with_few_entries_per_lock)
{
    make(1024 * kibibyte);
    slot = claim(1);
    const subscription a = subscribe(slot, "a", {.messages = 100'000});
    const subscription b = subscribe(slot, "b", {.messages = 100'000});

    for (const std::size_t limit : {std::size_t{0}, 400 * kibibyte}) {
        for (int i = 0; i < 9000; i++) {
            send(a, "x");
            read(a);
        }
        core.limit_logs(limit);
        const fault_counter count;
        send(limit == 0 ? b : a, std::string(400'000, 'x'));
        EXPECT_GT(count.holds(), 30);
        EXPECT_LE(count.max("entry.unlinked"), 64 + 16);
    }
}
