// Messages from one subscription to all others: their order, their ids, and the
// slots that are woken.
#include "broker_fixture.hpp"

#include <algorithm>
#include <array>

using namespace broker_tests;

namespace {

class broker_messages : public broker_test {
protected:
    broker_messages()
    {
        make();
        slot_a = claim(100);
        slot_b = claim(200);
        a = subscribe(slot_a);
        b = subscribe(slot_b);
    }

    unsigned slot_a;
    unsigned slot_b;
    subscription a;
    subscription b;
};

std::string long_text(std::size_t size)
{
    std::string text(size, ' ');

    for (std::size_t i = 0; i < size; i++) {
        text[i] = static_cast<char>('a' + i % 23 + i / 23 % 3);
    }

    return text;
}

} // namespace

TEST_F(broker_messages, reach_all_in_the_same_order_the_sender_too)
{
    texts sent;

    for (int i = 0; i < 100; i++) {
        sent.push_back("message " + std::to_string(i));
        send(i % 3 == 0 ? a : b, sent.back());
    }

    EXPECT_EQ(read(a), sent);
    EXPECT_EQ(read(b), sent);
    EXPECT_EQ(read(a), texts{});
    EXPECT_EQ(read(b), texts{});
}

TEST_F(broker_messages, appended_by_name_reach_all_subscriptions)
{
    EXPECT_EQ(core.append("room", message_of("one"), {}, now).clients, 0);
    EXPECT_EQ(core.append("another room", message_of("none"), {}, now).result,
              outcome::done);
    send(a, "two");

    EXPECT_EQ(read(b), (texts{"one", "two"}));
}

TEST_F(broker_messages, carry_what_they_were_published_with)
{
    const append_result sent = core.append(
        a, {.payload = bytes_of("x"), .from = 77, .time = 5, .kind = 9}, now);
    read_memory storage;
    const read_result result = core.read(b, storage.buffers(), now);

    ASSERT_EQ(result.count, 1);
    const message &read = storage.first(1)[0];
    EXPECT_EQ(read.id, sent.id);
    EXPECT_EQ(read.position, 1);
    EXPECT_EQ(read.time, 5);
    EXPECT_EQ(read.from, 77);
    EXPECT_EQ(read.kind, 9);
    EXPECT_FALSE(read.transient);
    EXPECT_EQ(text_of(read.payload), "x");
}

TEST_F(broker_messages, have_ids_that_grow_by_one)
{
    const message_id first = send(a, "one").id;
    const message_id second = send(b, "two").id;

    EXPECT_EQ(first.sequence, 1);
    EXPECT_EQ(first.epoch, now);
    EXPECT_EQ(second.sequence, 2);
    EXPECT_EQ(second.epoch, first.epoch);
    EXPECT_EQ(core.last_id(b), second);
    EXPECT_EQ(core.passed_id(b).sequence, 0);

    read(b);
    EXPECT_EQ(core.passed_id(b), second);
}

TEST_F(broker_messages, of_any_size_arrive_whole)
{
    texts sent;

    for (const std::size_t size : {0, 1, 63, 64, 65, 127, 128, 191, 192, 193,
                                   1000, 4096, 10000, 100'000}) {
        sent.push_back(long_text(size));
        send(a, sent.back());
    }

    EXPECT_EQ(read(b), sent);
    EXPECT_EQ(read(a), sent);
}

TEST_F(broker_messages, of_any_size_arrive_whole_from_scattered_blocks)
{
    std::array<subscription, 50> pinning;

    for (std::size_t i = 0; i < pinning.size(); i++) {
        pinning[i] = subscribe(slot_a, std::to_string(i));
    }
    for (int i = 0; i < 400; i++) {
        send(pinning[i * 7 % 50], long_text(i));
    }
    for (std::size_t i = 0; i < pinning.size(); i += 2) {
        read(pinning[i]);
    }

    const std::string large = long_text(20'000);
    send(a, large);
    EXPECT_EQ(core.measure().dropped_unread, 0);
    EXPECT_EQ(read(b), texts{large});
}

TEST_F(broker_messages, of_a_mebibyte_arrive_whole)
{
    make(8192 * kibibyte);
    const subscription writer = subscribe(claim(100));
    const subscription reader = subscribe(claim(200));
    const texts sent{long_text(1 << 20), "", long_text((1 << 20) + 1)};

    for (const std::string &text : sent) {
        send(writer, text);
    }
    EXPECT_EQ(core.measure().dropped_unread, 0);
    EXPECT_TRUE(read(reader) == sent);
    EXPECT_TRUE(read(writer) == sent);
    EXPECT_EQ(core.measure().entries, 0);
}

TEST_F(broker_messages, begin_where_the_subscription_does)
{
    send(a, "before");
    const subscription late = subscribe(slot_b);
    send(a, "after");

    EXPECT_EQ(read(late), texts{"after"});
    EXPECT_EQ(read(b), (texts{"before", "after"}));
}

TEST_F(broker_messages, are_removed_when_all_have_read_them)
{
    const std::size_t before = core.measure().used;

    for (int i = 0; i < 50; i++) {
        send(a, long_text(300));
    }
    EXPECT_EQ(core.measure().entries, 50);

    read(a);
    EXPECT_EQ(core.measure().entries, 50);
    read(b);
    EXPECT_EQ(core.measure().entries, 0);
    EXPECT_EQ(core.measure().used, before);
}

TEST_F(broker_messages, that_only_a_slow_subscription_needs_are_removed_with_it)
{
    for (int i = 0; i < 50; i++) {
        send(a, "x");
    }
    read(a);

    core.unsubscribe(b, now);
    EXPECT_EQ(core.measure().entries, 0);
}

TEST_F(broker_messages, take_a_number_without_subscriptions)
{
    const append_result first = core.append("empty", message_of("x"), {}, now);
    const append_result second = core.append("empty", message_of("x"), {}, now);

    EXPECT_EQ(first.id.sequence, 1);
    EXPECT_EQ(second.id.sequence, 2);
    EXPECT_EQ(second.id.epoch, first.id.epoch);
    EXPECT_TRUE(second.wake.none());
    EXPECT_EQ(core.measure().entries, 0);
    EXPECT_EQ(core.describe("empty", now).last, second.id);
}

TEST_F(broker_messages, that_are_transient_take_no_number)
{
    const message_id before = send(a, "one").id;
    const append_result sent = core.append(a, transient_of("joined"), now);
    const message_id after = send(a, "two").id;

    EXPECT_EQ(sent.result, outcome::done);
    EXPECT_EQ(sent.id, before);
    EXPECT_EQ(after.sequence, before.sequence + 1);

    read_memory storage;
    ASSERT_EQ(core.read(b, storage.buffers(), now).count, 3);
    EXPECT_TRUE(storage.first(2)[1].transient);
    EXPECT_EQ(storage.first(2)[1].id, before);
    EXPECT_EQ(storage.first(2)[1].position, 2);
}

TEST_F(broker_messages, that_are_transient_leave_nothing_without_subscriptions)
{
    const append_result sent = core.append("empty", transient_of("joined"),
                                           limits{.messages = 9}, now);

    EXPECT_EQ(sent.result, outcome::done);
    EXPECT_EQ(sent.id.sequence, 0);
    EXPECT_EQ(core.measure().entries, 0);
}

TEST_F(broker_messages, that_do_not_fit_ask_for_a_larger_buffer)
{
    send(a, "short");
    send(a, long_text(1000));
    read_memory storage(8, 100);

    read_result result = core.read(b, storage.buffers(), now);
    EXPECT_EQ(result.count, 1);
    EXPECT_TRUE(result.more);
    EXPECT_EQ(result.needed, 0);

    result = core.read(b, storage.buffers(), now);
    EXPECT_EQ(result.count, 0);
    EXPECT_TRUE(result.more);
    EXPECT_EQ(result.needed, 1000);

    storage.grow(1000);
    result = core.read(b, storage.buffers(), now);
    EXPECT_EQ(result.count, 1);
    EXPECT_FALSE(result.more);
    EXPECT_EQ(text_of(storage.first(1)[0].payload), long_text(1000));
}

TEST_F(broker_messages, wake_each_slot_once_until_it_has_found_no_more)
{
    EXPECT_EQ(send(a, "one").wake, slot_set{0b11});
    EXPECT_EQ(send(b, "two").wake, slot_set{});

    EXPECT_EQ(drain(slot_a), (texts{"one", "two"}));
    EXPECT_EQ(send(b, "three").wake, slot_set{0b01});

    EXPECT_TRUE(core.next_unread(slot_b));
    EXPECT_EQ(send(b, "four").wake, slot_set{});
    EXPECT_EQ(drain(slot_b), (texts{"one", "two", "three", "four"}));
    EXPECT_EQ(send(b, "five").wake, slot_set{0b10});
}

TEST_F(broker_messages, wake_only_subscribed_slots)
{
    const subscription alone = subscribe(slot_b, "other");

    EXPECT_EQ(send(alone, "one").wake, slot_set{1ULL << slot_b});
    EXPECT_FALSE(core.next_unread(slot_a));
}

TEST_F(broker_messages, come_up_as_unread_of_their_owner)
{
    int owner = 0;
    const subscribed result = core.subscribe(slot_a, "owned", &owner, {}, now);
    send(result.handle, "x");

    const unread_subscription next = core.next_unread(slot_a);
    EXPECT_EQ(next.handle, result.handle);
    EXPECT_EQ(next.owner, &owner);
    EXPECT_FALSE(core.next_unread(slot_a));
}

TEST_F(broker_messages, that_were_read_in_part_come_up_after_others)
{
    const subscription other = subscribe(slot_a, "other");
    for (int i = 0; i < 10; i++) {
        send(a, "x");
    }
    send(other, "y");

    read_memory storage;
    EXPECT_EQ(core.next_unread(slot_a).handle, a);
    EXPECT_TRUE(core.read(a, storage.buffers(), now).more);
    EXPECT_EQ(core.next_unread(slot_a).handle, other);
    EXPECT_EQ(core.next_unread(slot_a).handle, a);
}

TEST_F(broker_messages, that_were_read_early_are_not_unread)
{
    send(a, "x");
    read(a);

    EXPECT_FALSE(core.next_unread(slot_a));
    EXPECT_TRUE(core.next_unread(slot_b));
}

TEST_F(broker_messages, of_a_removed_subscription_are_refused)
{
    core.unsubscribe(a, now);
    core.unsubscribe(a, now);

    EXPECT_EQ(core.append(a, message_of("x"), now).result, outcome::gone);
    EXPECT_EQ(core.join(a, 0), outcome::gone);
    EXPECT_EQ(core.clients(a), 0);
    EXPECT_EQ(core.last_id(a), message_id{});
    EXPECT_EQ(core.passed_id(a), message_id{});
    EXPECT_EQ(read(a), texts{});
    EXPECT_EQ(history(a, 0), texts{});
    EXPECT_EQ(core.append({}, message_of("x"), now).result, outcome::gone);
    EXPECT_EQ(core.append({1'000'000, 1}, message_of("x"), now).result,
              outcome::gone);
}

TEST_F(broker_messages, do_not_reach_a_subscription_that_replaces_another)
{
    core.unsubscribe(b, now);
    const subscription next = subscribe(slot_b, "room");

    ASSERT_EQ(next.index, b.index);
    send(a, "x");
    EXPECT_EQ(read(b), texts{});
    EXPECT_EQ(read(next), texts{"x"});
}

TEST_F(broker_messages, in_logs_of_many_names_do_not_mix)
{
    texts names{"",
                " ",
                "a",
                "b",
                "ab",
                std::string("a\0b", 3),
                std::string("a\0", 2),
                "\xff\xfe",
                std::string(4096, 'n'),
                std::string(4095, 'n') + "m",
                std::string(4095, 'n')};
    std::vector<subscription> all;

    for (const std::string &name : names) {
        all.push_back(subscribe(slot_a, name));
    }
    for (std::size_t i = 0; i < names.size(); i++) {
        EXPECT_EQ(core.append(names[i], message_of(std::to_string(i)), {}, now)
                      .result,
                  outcome::done);
    }
    for (std::size_t i = 0; i < names.size(); i++) {
        EXPECT_EQ(read(all[i]), texts{std::to_string(i)});
        EXPECT_TRUE(core.describe(names[i], now).exists);
    }
}

TEST_F(broker_messages, under_a_name_that_is_too_long_are_refused)
{
    const std::string name(max_name_size + 1, 'n');

    EXPECT_EQ(core.append(name, message_of("x"), {}, now).result,
              outcome::name_too_long);
    EXPECT_EQ(core.subscribe(slot_a, name, nullptr, {}, now).result,
              outcome::name_too_long);
    EXPECT_FALSE(core.describe(name, now).exists);
}
