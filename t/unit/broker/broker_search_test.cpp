// Search for messages in a long history, and large messages that are copied in
// pieces.
#include "broker/entries.hpp"
#include "broker/lock_guard.hpp"
#include "broker/subscriptions.hpp"
#include "broker_fixture.hpp"
#include "fault_counter.hpp"

#include <functional>
#include <random>

using namespace broker_tests;

namespace {

// Calls a function when the lock is released, as if another process took it.
class interrupted_mutex final : public owned_mutex {
public:
    void unlock() noexcept override
    {
        owned_mutex::unlock();
        if (const auto now = std::exchange(next, nullptr)) {
            now();
        }
    }

    std::function<void()> next;
};

class broker_search : public broker_test {
protected:
    broker_search() { make(4096 * kibibyte); }

    // The text of each message is its sequence.
    void send_numbers(subscription to, int count)
    {
        for (int i = 0; i < count; i++) {
            send(to, std::to_string(core.last_id(to).sequence + 1));
            read_all(to);
        }
    }

    void read_all(subscription from)
    {
        while (core.read(from, storage.buffers(), now).more) {}
    }

    // Finds the first message after the sequence, and checks the cost of the
    // search.
    void find(subscription in, std::uint64_t after, std::uint64_t expected)
    {
        const fault_counter count;
        const read_result result =
            core.read_history(in, after, one.buffers(), now);

        ASSERT_EQ(result.count, 1) << after;
        EXPECT_EQ(one.first(1)[0].id.sequence, expected);
        EXPECT_EQ(text_of(one.first(1)[0].payload), std::to_string(expected));
        EXPECT_EQ(result.lost, after + 1 != expected);
        EXPECT_EQ(count.holds(), 1);
        EXPECT_LE(count.max("history.step"), 40); // 2 * log2(10'000) = 27
    }

    read_memory storage{64, 256 * kibibyte};
    read_memory one{1, 8192};
    std::mt19937_64 dice{42};
};

// The start of the history by definition: the consecutive messages from the end
// on that are within the limit. 0: there is none.
detail::index first_by_definition(const detail::zone &z,
                                  const detail::subscription_record &reader,
                                  std::uint64_t passed, std::uint64_t after)
{
    const detail::log_record &log = z.log(reader.log);
    std::map<std::uint64_t, detail::index> messages;
    detail::index found = 0;

    for (detail::index at = log.first_message; at != 0;
         at = z.entry(at).next_in_log) {
        messages[z.entry(at).sequence] = at;
    }
    for (std::uint64_t i = passed; i > after && messages.contains(i) &&
                                   log.last_sequence - i < log.history_messages;
         i--) {
        found = messages[i];
    }

    return found;
}

} // namespace

TEST(broker_earlier_sequence, leads_back_in_steps_that_double)
{
    std::uint64_t max_steps = 0;

    for (std::uint64_t i = 1; i < 200'000; i++) {
        const std::uint64_t earlier = detail::earlier_sequence(i);
        const std::uint64_t before = detail::earlier_sequence(i - 1);

        // At most two steps lead there from the previous message
        EXPECT_TRUE(earlier == i - 1 ||
                    earlier == detail::earlier_sequence(before));

        std::uint64_t steps = 0;
        for (std::uint64_t at = i; at > 0; steps++) {
            at = detail::earlier_sequence(at);
        }
        max_steps = std::max(max_steps, steps);
    }

    EXPECT_LE(max_steps, 18);
    EXPECT_EQ(detail::earlier_sequence(1'000'000), 999'993);
    EXPECT_EQ(detail::earlier_sequence(999'993), 999'930);
    EXPECT_LT(detail::earlier_sequence(UINT64_MAX - 1), UINT64_MAX - 1);
}

TEST_F(broker_search, finds_any_message_in_few_steps)
{
    const subscription a = subscribe(claim(1), "room", {.messages = 10'000});
    send_numbers(a, 10'000);

    for (int i = 0; i < 1000; i++) {
        const std::uint64_t after = dice() % 10'000;
        find(a, after, after + 1);
    }
}

TEST_F(broker_search, finds_the_first_that_is_left_in_few_steps)
{
    const subscription a = subscribe(claim(1), "room", {.messages = 3000});
    send_numbers(a, 10'000);
    find(a, 0, 7001);
    find(a, 9000, 9001);

    core.set_limits(a, {.messages = 1234}, now); // most remain stored
    find(a, 0, 8767);
    expire_all();
    find(a, 0, 8767);
    find(a, 8766, 8767);
}

TEST_F(broker_search, finds_the_first_that_is_young_in_few_steps)
{
    const subscription a =
        subscribe(claim(1), "room", {.messages = 10'000, .milliseconds = 5000});

    for (int i = 0; i < 4000; i++, now++) {
        send_numbers(a, 1);
    }
    now += 3000; // messages up to 2000 are older than 5 s
    find(a, 0, 2001);
    find(a, 1500, 2001);
    find(a, 3000, 3001);
    now += 5000;
    EXPECT_TRUE(core.read_history(a, 0, storage.buffers(), now).lost);
}

TEST_F(broker_search, omits_old_messages_between_newer_ones)
{
    const subscription a =
        subscribe(claim(1), "room", {.messages = 100, .milliseconds = 5000});
    const auto send_at = [&](std::uint64_t time, int count) {
        for (int i = 0; i < count; i++) {
            core.append(a, message_of("x", time), now);
            read_all(a);
        }
    };

    send_at(now, 20);
    send_at(now - 6000, 3); // 21 to 23, sent with a slow clock
    send_at(now, 10);

    std::vector<std::uint64_t> found;
    read_result page{.more = true};
    std::uint64_t after = 0;
    int gaps = 0;

    for (; page.more; gaps += page.lost ? 1 : 0) {
        page = core.read_history(a, after, storage.buffers(), now);
        for (const message &each : storage.first(page.count)) {
            after = each.id.sequence;
            EXPECT_TRUE(after < 21 || after > 23);
            found.push_back(after);
        }
    }
    EXPECT_EQ(found.back(), 33);
    EXPECT_EQ(gaps, 1);
}

TEST_F(broker_search, passes_by_any_number_of_transient_entries)
{
    const unsigned slot = claim(1);
    const subscription a = subscribe(slot, "room", {.messages = 1000});
    subscribe(slot, "room", {.messages = 1000}); // reads nothing

    for (int i = 0; i < 100; i++) {
        for (int t = 0; t < 200; t++) {
            core.append(a, transient_of("t"), now);
        }
        send_numbers(a, 1);
    }
    EXPECT_EQ(core.measure().entries, 20'100);

    for (std::uint64_t after = 0; after < 100; after++) {
        find(a, after, after + 1);
    }
}

TEST_F(broker_search, finds_messages_with_external_numbers)
{
    const subscription a = subscribe(claim(1), "room", {.messages = 10'000});
    const std::uint64_t start = 123'456'789'012;
    core.reset_position("room", {outer, start}, false, now);

    for (std::uint64_t i = start + 1; i <= start + 3000; i++) {
        core.append_external("room", message_of(std::to_string(i), now),
                             {outer, i}, now);
        read_all(a);
    }
    for (int i = 0; i < 100; i++) {
        const std::uint64_t after = start + dice() % 3000;
        find(a, after, after + 1);
    }
    core.reset_position("room", {outer, start + 4000}, true, now);
    EXPECT_TRUE(core.read_history(a, start, storage.buffers(), now).lost);
    core.append_external("room", message_of(std::to_string(start + 4001), now),
                         {outer, start + 4001}, now);
    read_all(a);
    find(a, start, start + 4001);
}

// The search finds the message that the definition gives, in any state of the
// log.
TEST_F(broker_search, finds_the_same_as_the_definition_in_any_log)
{
    make(512 * kibibyte);
    const unsigned slot = claim(1);
    const subscription a = subscribe(slot, "room", {.messages = 50});
    const subscription slow = subscribe(slot, "room", {.messages = 50});
    detail::zone zone;
    ASSERT_TRUE(detail::attach_zone(zone, memory()));
    core.reset_position("room", {outer, 5}, false, now);
    int found = 0;

    for (int i = 0; i < 5000; i++) {
        const std::uint64_t last = core.last_id(a).sequence;

        switch (dice() % 16) {
        case 0:
            core.set_limits(a, {.messages = dice() % 300}, now);
            break;
        case 1:
            if (dice() % 30 == 0) {
                core.reset_position("room", {outer, last + dice() % 3}, true,
                                    now);
            }
            break;
        case 2:
            core.append(a, transient_of("t"), now);
            break;
        case 3:
            core.read(slow, storage.buffers(), now);
            break;
        case 4:
            core.read(a, storage.buffers(), now);
            break;
        case 5:
            if (dice() % 10 == 0) {
                const detail::locked_zone hold(lock, zone);
                detail::repair(zone);
            } else if (dice() % 10 == 0) {
                core.expire(now, 1000);
            }
            break;
        case 6:
            if (dice() % 20 == 0) {
                send(a, std::string(200'000, 'x')); // removes many messages
            }
            break;
        default:
            core.append_external("room", message_of("x", now),
                                 {outer, last + 1}, now);
        }

        const subscription of = dice() % 2 == 0 ? a : slow;
        const std::uint64_t passed = core.passed_id(of).sequence;
        const std::uint64_t after =
            passed - std::min<std::uint64_t>(passed, dice() % 60);
        const detail::index first = first_by_definition(
            zone, *detail::find_subscription(zone, of), passed, after);
        const read_result page =
            core.read_history(of, after, storage.buffers(), now);

        ASSERT_EQ(page.count == 0 && page.needed == 0, first == 0);
        if (page.count != 0) {
            ASSERT_EQ(storage.first(1)[0].id.sequence,
                      zone.entry(first).sequence);
            found++;
        }
        if (i % 500 == 0) {
            ASSERT_EQ(check_integrity(core), "");
        }
    }
    EXPECT_GT(found, 2000);
}

/*
 * Large messages.
 */

TEST_F(broker_search, copies_a_large_message_in_pieces)
{
    const subscription a = subscribe(claim(1), "room", {.messages = 10});
    std::string large(1'000'000, ' ');
    for (char &each : large) {
        each = static_cast<char>('a' + dice() % 26);
    }
    send(a, large);
    read_memory storage(4, large.size());

    for (const bool of_history : {false, true}) {
        const fault_counter count;
        const read_result result =
            of_history ? core.read_history(a, 0, storage.buffers(), now)
                       : core.read(a, storage.buffers(), now);

        ASSERT_EQ(result.count, 1);
        EXPECT_FALSE(result.more);
        EXPECT_TRUE(text_of(storage.first(1)[0].payload) == large);
        EXPECT_GT(count.holds(), 25);
        EXPECT_EQ(count.max("read.piece"), 1);
    }
}

TEST_F(broker_search, copies_what_is_left_when_a_large_message_is_removed)
{
    const unsigned slot = claim(1);
    const subscription a = subscribe(slot, "room", {.messages = 10});
    interrupted_mutex other_lock;
    broker other(other_lock);
    ASSERT_TRUE(other.attach(memory()));
    read_memory storage(4, 1'500'000);
    const std::string others(1'500'000, 'x');
    const auto lose_the_first = [&] {
        for (int i = 0; i < 2; i++) {
            core.append("another", message_of(others), limits{.messages = 9},
                        now);
        }
    };

    send(a, std::string(1'000'000, '1'));
    send(a, std::string(1'000'000, '2'));
    other_lock.next = lose_the_first;
    read_result result = other.read(a, storage.buffers(), now);
    ASSERT_EQ(result.count, 1);
    EXPECT_TRUE(result.lost);
    EXPECT_TRUE(text_of(storage.first(1)[0].payload) ==
                std::string(1'000'000, '2'));

    send(a, std::string(1'000'000, '3'));
    EXPECT_EQ(core.read(a, storage.buffers(), now).count, 1);
    lose_the_first(); // removes the older messages
    other_lock.next = lose_the_first;
    result = other.read_history(a, 2, storage.buffers(), now);
    EXPECT_EQ(result.count, 0);
    EXPECT_TRUE(result.lost);

    send(a, std::string(1'000'000, '5'));
    other_lock.next = [&] { core.unsubscribe(a, now); };
    EXPECT_EQ(other.read(a, storage.buffers(), now).count, 0);
}
