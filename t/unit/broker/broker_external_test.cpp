// Messages with external numbers: which of them a log accepts, and the ids that
// readers get.
#include "broker_fixture.hpp"

using namespace broker_tests;

namespace {

using broker_external = outer_room_test;

} // namespace

TEST_F(broker_external, reaches_all_with_the_ids_it_came_with)
{
    const subscription a = subscribe(claim(1));
    const subscription b = subscribe(claim(2));
    ASSERT_EQ(reset_position(outer, 500).result, outcome::done);

    const append_result sent = append_external(501);
    EXPECT_EQ(sent.result, outcome::done);
    EXPECT_EQ(sent.id, (message_id{outer, 501}));
    EXPECT_EQ(sent.wake, slot_set{3});
    EXPECT_EQ(core.last_id(a), (message_id{outer, 501}));
    EXPECT_EQ(core.passed_id(a), (message_id{outer, 500}));
    EXPECT_EQ(core.describe("room", now).last, (message_id{outer, 501}));

    read_memory storage;
    ASSERT_EQ(core.read(a, storage.buffers(), now).count, 1);
    EXPECT_EQ(storage.first(1)[0].id, (message_id{outer, 501}));
    EXPECT_EQ(text_of(storage.first(1)[0].payload), "501");
    EXPECT_EQ(read(b), texts{"501"});
    EXPECT_EQ(core.passed_id(a), (message_id{outer, 501}));
}

TEST_F(broker_external, keeps_all_fields_of_a_message)
{
    const subscription a = subscribe(claim(1));
    reset_position(outer, 0);
    core.append_external(
        "room", {.payload = bytes_of("x"), .from = 5, .time = 6, .kind = 7},
        {outer, 1}, now);

    read_memory storage;
    ASSERT_EQ(core.read(a, storage.buffers(), now).count, 1);
    const message &read = storage.first(1)[0];
    EXPECT_EQ(read.from, 5);
    EXPECT_EQ(read.time, 6);
    EXPECT_EQ(read.kind, 7);
    EXPECT_FALSE(read.transient);
}

TEST_F(broker_external, creates_no_log)
{
    EXPECT_EQ(append_external(1).result, outcome::gone);
    EXPECT_EQ(core.append_external("room", transient_of("t"), {}, now).result,
              outcome::gone);
    EXPECT_EQ(core.append_external(std::string(max_name_size + 1, 'n'),
                                   message_of("x"), {outer, 1}, now)
                  .result,
              outcome::gone);
    EXPECT_EQ(core.measure().logs, 0);
}

TEST_F(broker_external, accepts_only_the_next_message)
{
    const subscription a = subscribe(claim(1));
    reset_position(outer, 5);

    EXPECT_EQ(append_external(7).result, outcome::out_of_order);
    EXPECT_EQ(append_external(7).id, (message_id{outer, 5}));
    EXPECT_EQ(append_external(5).result, outcome::duplicate);
    EXPECT_EQ(append_external(5).id, (message_id{outer, 5}));
    EXPECT_EQ(append_external(0).result, outcome::duplicate);
    EXPECT_TRUE(append_external(7).wake.none());
    EXPECT_EQ(append_external(6).result, outcome::done);
    EXPECT_EQ(append_external(6).result, outcome::duplicate);
    EXPECT_EQ(read(a), texts{"6"});
}

TEST_F(broker_external, into_another_epoch_is_refused)
{
    const subscription a = subscribe(claim(1));
    const std::uint64_t own_epoch = core.last_id(a).epoch;

    for (const std::uint64_t epoch : {outer, own_epoch, std::uint64_t{0}}) {
        EXPECT_EQ(append_external(1, epoch).result, outcome::out_of_order)
            << epoch;
    }
    reset_position(outer, 0);
    for (const std::uint64_t epoch : {outer + 1, own_epoch, std::uint64_t{0}}) {
        EXPECT_EQ(append_external(1, epoch).result, outcome::out_of_order)
            << epoch;
        EXPECT_EQ(append_external(0, epoch).result, outcome::out_of_order)
            << epoch;
    }
    EXPECT_EQ(core.last_id(a), (message_id{outer, 0}));
    EXPECT_EQ(read(a), texts{});
}

// A log may be created in the millisecond that is the external epoch.
TEST_F(broker_external, is_refused_in_the_log_s_own_epoch)
{
    const subscription a = subscribe(claim(1), "room", {.messages = 9});
    const std::uint64_t own_epoch = core.last_id(a).epoch;
    const append_result sent =
        core.append("room", message_of("local"), {}, now);
    EXPECT_EQ(sent.id, (message_id{own_epoch, 1}));

    EXPECT_EQ(append_external(2, own_epoch).result, outcome::out_of_order);
    reset_position(own_epoch, 1);
    EXPECT_EQ(read(a), texts{gap});
    EXPECT_EQ(append_external(2, own_epoch).result, outcome::done);
    EXPECT_EQ(read(a), texts{"2"});
    EXPECT_EQ(history(a, 0), (texts{gap, "2"}));
}

TEST_F(broker_external, of_transient_entries_asks_for_no_id)
{
    const subscription a = subscribe(claim(1), "room", {.messages = 9});
    EXPECT_EQ(core.append_external("room", transient_of("t"), {}, now).result,
              outcome::done);
    EXPECT_EQ(read(a), texts{"t"});

    reset_position(outer, 5);
    relay_all(6, 6);
    const append_result sent =
        core.append_external("room", transient_of("t"), {outer + 1, 900}, now);
    EXPECT_EQ(sent.result, outcome::done);
    EXPECT_EQ(sent.id, (message_id{outer, 6}));
    relay_all(7, 7);
    EXPECT_EQ(read(a), (texts{"6", "t", "7"}));
    EXPECT_EQ(history(a, 5), (texts{"6", "7"}));
}

TEST_F(broker_external, without_readers_takes_its_number_only)
{
    core.append("room", message_of("x"), {}, now);
    reset_position(outer, 5);
    const append_result sent = append_external(6);
    EXPECT_EQ(sent.result, outcome::done);
    EXPECT_EQ(sent.id, (message_id{outer, 6}));
    EXPECT_TRUE(sent.wake.none());
    EXPECT_EQ(core.measure().entries, 0);
    EXPECT_EQ(append_external(6).result, outcome::duplicate);
    EXPECT_EQ(append_external(7).result, outcome::done);
}

TEST_F(broker_external, without_memory_takes_its_number_and_is_reported_lost)
{
    const subscription a = subscribe(claim(1), "room", {.messages = 9});
    const subscription b = subscribe(claim(2), "room", {.messages = 9});
    const std::string too_large(200 * kibibyte, 'x');
    reset_position(outer, 0);
    relay_all(1, 2);
    drain(1);

    const append_result sent =
        core.append_external("room", message_of(too_large), {outer, 3}, now);
    EXPECT_EQ(sent.result, outcome::no_memory);
    EXPECT_EQ(sent.id, (message_id{outer, 3}));
    EXPECT_EQ(sent.wake, slot_set{2});
    EXPECT_EQ(core.measure().refused, 1);
    relay_all(4, 5);

    EXPECT_EQ(drain(1), (texts{gap, "4", "5"}));
    EXPECT_EQ(read(a), (texts{"1", "2", gap, "4", "5"}));
    EXPECT_EQ(history(b, 0), (texts{gap, "4", "5"}));
    EXPECT_EQ(history(b, 3), (texts{"4", "5"}));
}

TEST_F(broker_external, without_memory_is_reported_when_nothing_follows)
{
    const subscription a = subscribe(claim(1));
    reset_position(outer, 0);
    publication what = message_of(std::string(200 * kibibyte, 'x'));
    core.append_external("room", what, {outer, 1}, now);
    EXPECT_EQ(drain(0), texts{gap});
    EXPECT_EQ(core.passed_id(a), (message_id{outer, 1}));

    what.transient = true;
    const append_result sent = core.append_external("room", what, {}, now);
    EXPECT_EQ(sent.result, outcome::no_memory);
    EXPECT_EQ(sent.id, (message_id{outer, 1}));
    EXPECT_EQ(drain(0), texts{gap});
    EXPECT_EQ(drain(0), texts{});
}

TEST_F(broker_external, gives_a_history_to_resume_from)
{
    const unsigned slot = claim(1);
    const subscription a = subscribe(slot, "room", {.messages = 5});
    reset_position(outer, 90);
    relay_all(91, 93);
    EXPECT_EQ(history(a, 90), texts{});
    read(a);
    EXPECT_EQ(history(a, 89), (texts{gap, "91", "92", "93"}));
    EXPECT_EQ(history(a, 90), (texts{"91", "92", "93"}));

    relay_all(94, 99);
    core.unsubscribe(a, now);
    relay_all(100, 101);
    const subscription again = subscribe(slot, "room", {.messages = 5});
    EXPECT_EQ(history(again, 98), (texts{"99", "100", "101"}));
    EXPECT_EQ(history(again, 90), (texts{gap, "97", "98", "99", "100", "101"}));

    read_memory storage;
    ASSERT_EQ(core.read_history(again, 100, storage.buffers(), now).count, 1);
    EXPECT_EQ(storage.first(1)[0].id, (message_id{outer, 101}));
}

TEST_F(broker_external, to_a_slow_reader_drops_the_oldest_as_append_does)
{
    const subscription slow = subscribe(claim(1));
    reset_position(outer, 0);
    std::uint64_t last = 0;

    while (core.measure().dropped_unread == 0) {
        last++;
        EXPECT_EQ(core.append_external("room",
                                       message_of(std::string(3000, 'x')),
                                       {outer, last}, now)
                      .result,
                  outcome::done);
    }
    const texts all = read(slow);
    ASSERT_EQ(all.size(), last);
    EXPECT_EQ(all[0], gap);
    EXPECT_EQ(core.passed_id(slow), (message_id{outer, last}));
}

TEST_F(broker_external, keeps_a_log_from_being_removed_as_unused)
{
    core.append("room", message_of("x"), {}, now);
    reset_position(outer, 0);
    now += unused_log_ttl - 1;
    relay_all(1, 1);
    now += unused_log_ttl - 1;
    expire_all();
    EXPECT_TRUE(core.describe("room", now).exists);
    forget_all();
    EXPECT_EQ(append_external(2).result, outcome::gone);
}

TEST_F(broker_external, into_a_new_log_requires_its_position)
{
    const unsigned slot = claim(1);
    const subscription before = subscribe(slot);
    reset_position(outer, 4);
    core.mark_synced("room", 1);
    core.set_link_generation(1);
    core.set_remote_clients("room", 3);
    EXPECT_TRUE(core.synced(before));
    core.unsubscribe(before, now);
    forget_all();

    const subscription after = subscribe(slot);
    EXPECT_NE(core.last_id(after).epoch, outer);
    EXPECT_FALSE(core.synced(after));
    EXPECT_EQ(core.clients(after), 0);
    EXPECT_EQ(append_external(5).result, outcome::out_of_order);
    EXPECT_EQ(reset_position(outer, 5).result, outcome::done);
    relay_all(6, 6);
    EXPECT_EQ(read(after), texts{"6"});
}
