// Full memory: what goes to make room, who is told, and what is refused.
#include "broker_fixture.hpp"
#include "fault_counter.hpp"

#include <algorithm>

using namespace broker_tests;

namespace {

class broker_room : public broker_test {
protected:
    broker_room()
    {
        make();
        slot = claim(1);
        half = core.measure().size / 256 * 128;
    }

    // Appends until so many entries were dropped.
    int fill(subscription with, std::uint64_t dropped)
    {
        int sent = 0;

        for (; all_dropped() < dropped; sent++) {
            send(with, std::to_string(sent));
        }

        return sent;
    }

    std::uint64_t all_dropped()
    {
        const usage now_is = core.measure();
        return now_is.dropped_unread + now_is.dropped_history;
    }

    unsigned slot;
    std::size_t half; // of the memory, in whole blocks
};

} // namespace

TEST_F(broker_room, when_full_goes_to_the_newest_and_the_reader_is_told)
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

TEST_F(broker_room, when_full_takes_nothing_from_those_who_have_read)
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

TEST_F(broker_room, loss_is_told_at_once_to_one_who_was_in_the_middle)
{
    const subscription slow = subscribe(slot);
    for (int i = 0; i < 10; i++) {
        send(slow, "x");
    }
    reading_room room(2);
    EXPECT_FALSE(core.read(slow, room.lent(), now).lost);

    const int sent = fill(slow, 5);
    read_result result = core.read(slow, room.lent(), now);
    EXPECT_TRUE(result.lost);
    EXPECT_EQ(result.count, 2);
    EXPECT_EQ(room.first(1)[0].position, 8);
    result = core.read(slow, room.lent(), now);
    EXPECT_FALSE(result.lost);
    EXPECT_EQ(read(slow).size(), sent + 10 - 2 - 5 - 4);
}

TEST_F(broker_room, loss_of_all_is_news)
{
    const subscription slow = subscribe(slot, "slow");
    const subscription loud = subscribe(slot, "loud");
    send(slow, "lost");
    fill(loud, 1);

    EXPECT_EQ(core.next_unread(slot).handle, slow);
    reading_room room;
    const read_result result = core.read(slow, room.lent(), now);
    EXPECT_TRUE(result.lost);
    EXPECT_EQ(result.count, 0);
    EXPECT_FALSE(result.more);
    EXPECT_EQ(read(slow), texts{});
}

TEST_F(broker_room, loss_is_not_forgotten_while_the_buffer_is_too_small)
{
    const subscription slow = subscribe(slot);
    for (int i = 0; core.measure().dropped_unread == 0; i++) {
        send(slow, std::string(1000, 'x'));
    }

    reading_room room(4, 100);
    read_result result = core.read(slow, room.lent(), now);
    EXPECT_EQ(result.needed, 1000);
    EXPECT_FALSE(result.lost);
    room.grow(1000);
    EXPECT_TRUE(core.read(slow, room.lent(), now).lost);
    EXPECT_FALSE(core.read(slow, room.lent(), now).lost);
}

TEST_F(broker_room, of_history_goes_oldest_first_over_all_logs)
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

TEST_F(broker_room, is_made_for_a_large_message_up_to_half_of_all)
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

TEST_F(broker_room, is_refused_to_more_than_half_of_all_and_nothing_goes)
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

TEST_F(broker_room, is_refused_when_subscriptions_fill_it)
{
    std::vector<subscription> all;

    for (;;) {
        const subscribed made =
            core.subscribe(slot, std::to_string(all.size()), nullptr, {}, now);
        if (made.result != outcome::done) {
            EXPECT_EQ(made.result, outcome::no_memory);
            break;
        }
        all.push_back(made.handle);
    }

    EXPECT_EQ(core.audit(), "");
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

TEST_F(broker_room, is_made_of_unused_logs_before_any_message_goes)
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

TEST_F(broker_room, is_never_made_of_the_log_that_it_is_made_for)
{
    const limits one{.messages = 1};
    const subscription loud = subscribe(slot, "loud");
    fill(loud, 1);
    core.append("small", message_of("x"), one, now);

    // Its only message goes for the next one, and it would be unused then.
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

TEST_F(broker_room, of_unused_logs_is_given_back_in_time)
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

TEST_F(broker_room, of_logs_that_were_only_asked_about_is_given_back)
{
    core.append("aged", message_of("x", now),
                limits{.messages = 1, .milliseconds = 1000}, now);
    EXPECT_EQ(core.describe("aged", now).messages, 1);
    now += 1001;
    EXPECT_EQ(core.describe("aged", now).messages, 0); // before any sweep
    EXPECT_EQ(core.audit(), "");
    now += unused_log_ttl;
    expire_all();
    EXPECT_EQ(core.measure().used, 0);
}

TEST_F(broker_room, holds_ten_thousand_logs)
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
    EXPECT_EQ(core.audit(), "");

    for (int i = 0; i < 10'000; i++) {
        EXPECT_EQ(core.next_unread(slot).handle, all[i]);
        EXPECT_EQ(read(all[i]), texts{std::to_string(i)});
    }
    core.release(slot, now);
    forget_all();
    EXPECT_EQ(core.measure().used, 0);
}

TEST_F(broker_room, is_swept_in_steps_of_the_size_that_is_asked_for)
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

TEST_F(broker_room, is_swept_in_holds_that_remove_few_entries)
{
    for (int i = 0; i < 500; i++) {
        core.append("room", message_of("x", now),
                    limits{.messages = 1000, .milliseconds = 10}, now);
    }
    now += 11;
    const fault_counter count;
    expire_all();
    EXPECT_EQ(core.measure().entries, 0);
    EXPECT_GT(count.most("entry.unlinked"), 0);
    EXPECT_LE(count.most("entry.unlinked"), 64);
}

TEST_F(broker_room, of_who_leaves_is_given_back_in_holds_of_few_entries)
{
    const subscription slow = subscribe(slot);
    for (int i = 0; i < 500; i++) {
        send(slow, "x");
    }
    const fault_counter count;
    core.unsubscribe(slow, now);
    EXPECT_LE(count.most("entry.unlinked"), 64);
    expire_all();
    EXPECT_EQ(core.measure().entries, 0);
}

// What one log may have of it.
TEST_F(broker_room, of_a_log_over_its_limit_goes_from_its_own_oldest)
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
    // 9 blocks of 128 bytes each
    EXPECT_EQ(core.describe("loud", now).messages, 14);
    EXPECT_EQ(dropped, 86);
    EXPECT_EQ(core.measure().dropped_over_limit, 86);
    EXPECT_EQ(all_dropped(), 0);
    EXPECT_EQ(history(quiet, 0), texts{"kept"});
    EXPECT_EQ(history(loud, 0).front(), gap);
}

TEST_F(broker_room, of_a_log_over_its_limit_is_taken_from_who_has_not_read)
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

TEST_F(broker_room, is_refused_to_a_message_over_the_limit_of_a_log)
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
    const subscription own = subscribe(slot, ":own");
    EXPECT_EQ(
        core.append(own, message_of(std::string(50'000, 'x')), now).result,
        outcome::done);
}

TEST_F(broker_room, of_logs_over_a_lower_limit_is_given_back_by_the_sweep)
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

TEST_F(broker_room, is_made_in_holds_that_remove_few_entries)
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
        EXPECT_LE(count.most("entry.unlinked"), 64 + 16);
    }
}
