// The state of other hosts: the count of their clients, the connection of this
// host to Redis, and the process that leads.
#include "broker_fixture.hpp"

#include <array>

using namespace broker_tests;

namespace {

class broker_hosts : public broker_test {
protected:
    broker_hosts() { make(); }

    void join(subscription to, int times)
    {
        for (int i = 0; i < times; i++) {
            EXPECT_EQ(core.join(to, 0), outcome::done);
        }
    }
};

} // namespace

TEST_F(broker_hosts, that_are_others_count_with_their_clients)
{
    const subscription a = subscribe(claim(1), "room", {7, 8000});
    join(a, 2);
    EXPECT_EQ(core.set_remote_clients("room", 5), outcome::done);

    EXPECT_EQ(core.clients(a), 7);
    EXPECT_EQ(send(a, "x").clients, 7);
    EXPECT_EQ(core.append("room", message_of("x"), {}, now).clients, 7);
    EXPECT_EQ(core.reset_position("room", {9, 4}, false, now).clients, 7);
    EXPECT_EQ(
        core.append_external("room", message_of("x"), {9, 5}, now).clients, 7);
    EXPECT_EQ(
        core.append_external("room", message_of("x"), {9, 5}, now).clients, 7);

    const description storage = core.describe("room", now);
    EXPECT_EQ(storage.clients, 7);
    EXPECT_EQ(storage.local_clients, 2);
    EXPECT_EQ(storage.remote_clients, 5);

    core.leave(a);
    EXPECT_EQ(core.clients(a), 6);
    core.set_remote_clients("room", 0);
    EXPECT_EQ(core.clients(a), 1);
}

TEST_F(broker_hosts, that_are_others_leave_less_room_for_clients)
{
    const subscription a = subscribe(claim(1));
    core.set_remote_clients("room", 3);

    EXPECT_EQ(core.join(a, 3), outcome::full);
    EXPECT_EQ(core.join(a, 4), outcome::done);
    EXPECT_EQ(core.join(a, 4), outcome::full);
    EXPECT_EQ(core.join(a, 0), outcome::done);
    core.set_remote_clients("room", 1);
    EXPECT_EQ(core.join(a, 4), outcome::done);
    EXPECT_EQ(core.join(a, 4), outcome::full);
}

TEST_F(broker_hosts, have_no_more_clients_than_can_be_counted)
{
    const subscription a = subscribe(claim(1));
    join(a, 2);
    core.set_remote_clients("room", UINT32_MAX - 1);
    EXPECT_EQ(core.clients(a), UINT32_MAX);
    EXPECT_EQ(core.join(a, UINT32_MAX), outcome::full);
    EXPECT_EQ(core.describe("room", now).local_clients, 2);
}

TEST_F(broker_hosts, are_not_counted_without_a_log)
{
    EXPECT_EQ(core.set_remote_clients("room", 1), outcome::gone);
    EXPECT_EQ(core.set_remote_clients(std::string(max_name_size + 1, 'n'), 1),
              outcome::gone);
    EXPECT_FALSE(core.describe("room", now).exists);
}

TEST_F(broker_hosts, stay_counted_when_processes_here_are_replaced)
{
    const unsigned slot = claim(1);
    join(subscribe(slot), 4);
    core.set_remote_clients("room", 2);
    processes.dead = {1};
    core.reclaim_dead(processes, now);
    EXPECT_EQ(processes.lost["room"], 4);
    EXPECT_EQ(core.describe("room", now).clients, 2);
    EXPECT_EQ(core.clients(subscribe(claim(2))), 2);
}

TEST_F(broker_hosts, appear_in_describe_and_scan)
{
    const unsigned slot = claim(1);
    const subscription a = subscribe(slot, "room", {7, 8000});
    join(a, 2);
    core.set_remote_clients("room", 5);
    core.append("kept", message_of("x"), limits{.messages = 3}, now);
    core.set_remote_clients("kept", 1);

    const description storage = core.describe("room", now);
    EXPECT_TRUE(storage.subscribed);
    EXPECT_EQ(storage.history.messages, 7);
    EXPECT_EQ(storage.history.milliseconds, 8000);
    EXPECT_FALSE(core.describe("kept", now).subscribed);
    EXPECT_FALSE(core.describe("none", now).subscribed);

    std::array<scanned_log, 4> logs;
    std::array<std::byte, max_name_size> names;
    scan_cursor at;
    ASSERT_EQ(core.scan(at, {names, logs}, 1 << 20).count, 2);
    for (const scanned_log &log : std::span(logs).first(2)) {
        const bool is_room = log.name == "room";
        EXPECT_EQ(log.clients, is_room ? 7 : 1);
        EXPECT_EQ(log.remote_clients, is_room ? 5 : 1);
        EXPECT_EQ(log.subscribed, is_room);
    }
}

TEST_F(broker_hosts, have_ids_of_the_external_epoch_in_a_scan)
{
    core.append("room", message_of("x"), limits{.messages = 3}, now);
    core.append("room, too", message_of("x"), limits{.messages = 3}, now);
    core.reset_position("room", {9, 4}, false, now);

    std::array<scanned_log, 1> log;
    std::array<std::byte, max_name_size> names;
    scan_cursor at;
    int seen = 0;
    while (core.scan(at, {names, log}, 1 << 20).count == 1) {
        EXPECT_EQ(log[0].last, core.describe(log[0].name, now).last);
        EXPECT_EQ(log[0].last.epoch == 9, log[0].name == "room");
        seen++;
    }
    EXPECT_EQ(seen, 2);
}

TEST_F(broker_hosts, know_the_run_with_which_a_log_was_compared)
{
    EXPECT_EQ(core.mark_run("room", 7), outcome::gone);

    subscribe(claim(1));
    EXPECT_EQ(core.describe("room", now).run, 0u);
    EXPECT_EQ(core.mark_run("room", 7), outcome::done);
    EXPECT_EQ(core.describe("room", now).run, 7u);
    EXPECT_EQ(core.mark_run("other", 8), outcome::gone);
    EXPECT_EQ(core.mark_run(std::string(max_name_size + 1, 'x'), 8),
              outcome::gone);
    EXPECT_EQ(core.describe("room", now).run, 7u);

    // A new position changes the ids, not the run with which they were compared
    core.reset_position("room", {9, 4}, false, now);
    EXPECT_EQ(core.describe("room", now).run, 7u);
}

// A publisher that reads both must not find the new message with the old run.
TEST_F(broker_hosts, know_the_run_of_a_message_with_the_message)
{
    subscribe(claim(1));
    core.reset_position("room", {9, 4}, false, now);
    EXPECT_EQ(core.mark_run("room", 7), outcome::done);

    publication next = message_of("x");
    next.run = 8;
    EXPECT_EQ(core.append_external("room", next, {9, 6}, now).result,
              outcome::out_of_order);
    EXPECT_EQ(core.describe("room", now).run, 7u);
    EXPECT_EQ(core.append_external("room", next, {9, 5}, now).result,
              outcome::done);
    EXPECT_EQ(core.describe("room", now).run, 8u);

    next.run = 0;
    EXPECT_EQ(core.append_external("room", next, {9, 6}, now).result,
              outcome::done);
    EXPECT_EQ(core.describe("room", now).run, 8u);
}

TEST_F(broker_hosts, are_linked_where_logs_are_marked_with_the_link)
{
    const subscription a = subscribe(claim(1));
    EXPECT_EQ(core.link_generation(), 0);
    EXPECT_EQ(core.mark_synced("room", 0), outcome::done);
    EXPECT_FALSE(core.synced(a)); // 0 is no generation
    EXPECT_EQ(core.mark_synced("room", 1), outcome::done);
    EXPECT_FALSE(core.synced(a));
    core.set_link_generation(1);
    EXPECT_EQ(core.link_generation(), 1);
    EXPECT_TRUE(core.synced(a));
    EXPECT_TRUE(core.describe("room", now).synced);

    core.set_link_generation(2);
    EXPECT_FALSE(core.synced(a));
    EXPECT_FALSE(core.describe("room", now).synced);
    core.mark_synced("room", 2);
    EXPECT_TRUE(core.synced(a));
    core.set_link_generation(0);
    EXPECT_FALSE(core.synced(a));
}

TEST_F(broker_hosts, are_not_linked_without_a_log_or_subscription)
{
    EXPECT_EQ(core.mark_synced("room", 1), outcome::gone);
    EXPECT_EQ(core.mark_synced(std::string(max_name_size + 1, 'n'), 1),
              outcome::gone);
    core.set_link_generation(1);
    const subscription a = subscribe(claim(1));
    core.mark_synced("room", 1);
    EXPECT_FALSE(core.synced({}));
    core.unsubscribe(a, now);
    EXPECT_FALSE(core.synced(a));
}

TEST_F(broker_hosts, share_the_link_among_all_their_processes)
{
    const subscription a = subscribe(claim(1));
    broker other(lock);
    ASSERT_TRUE(other.attach(memory()));
    other.set_link_generation(6);
    other.mark_synced("room", 6);
    EXPECT_EQ(core.link_generation(), 6);
    EXPECT_TRUE(core.synced(a));
}

TEST_F(broker_hosts, share_a_cursor_for_each_log_of_the_sequencer)
{
    claim(1);
    const log_cursor first{{9, 4}, 77};
    const log_cursor second{{9, 5}, 78};
    EXPECT_EQ(core.cursor(0), log_cursor{});
    EXPECT_EQ(core.store_cursor(0, first), outcome::done);
    EXPECT_EQ(core.store_cursor(max_cursors - 1, second), outcome::done);

    broker other(lock);
    ASSERT_TRUE(other.attach(memory()));
    EXPECT_EQ(other.cursor(0), first);
    EXPECT_EQ(other.cursor(1), log_cursor{});
    EXPECT_EQ(other.cursor(max_cursors - 1), second);

    EXPECT_EQ(core.store_cursor(0, {{9, 5}, 77}), outcome::done);
    EXPECT_EQ(core.cursor(0), (log_cursor{{9, 5}, 77}));
    EXPECT_EQ(core.store_cursor(0, second), outcome::done);
    EXPECT_EQ(core.cursor(0), second);
    EXPECT_EQ(core.store_cursor(0, {}), outcome::done);
    EXPECT_EQ(core.cursor(0), log_cursor{});
}

TEST_F(broker_hosts, have_one_leader)
{
    const unsigned slot_a = claim(1);
    const unsigned slot_b = claim(2);
    EXPECT_EQ(core.leader(), std::nullopt);
    EXPECT_TRUE(core.lead(slot_b, now));
    EXPECT_TRUE(core.lead(slot_b, now));
    EXPECT_FALSE(core.lead(slot_a, now));
    EXPECT_EQ(core.leader(), slot_b);

    core.resign(slot_a);
    EXPECT_EQ(core.leader(), slot_b);
    core.resign(slot_b);
    EXPECT_EQ(core.leader(), std::nullopt);
    core.resign(slot_b);
    EXPECT_TRUE(core.lead(slot_a, now));
    EXPECT_EQ(core.leader(), slot_a);
}

TEST_F(broker_hosts, are_not_led_by_slots_without_a_process)
{
    claim(1);
    for (const unsigned slot : {1U, 3U, 4U, 1000U, UINT32_MAX}) {
        EXPECT_FALSE(core.lead(slot, now)) << slot;
        core.resign(slot);
    }
    EXPECT_EQ(core.leader(), std::nullopt);
}

TEST_F(broker_hosts, are_led_by_another_when_the_leader_gives_its_slot_back)
{
    const unsigned slot_a = claim(1);
    const unsigned slot_b = claim(2);
    core.lead(slot_a, now);
    core.release(slot_a, now);
    EXPECT_EQ(core.leader(), std::nullopt);

    // The next owner of the slot is not the leader.
    EXPECT_EQ(claim(3), slot_a);
    EXPECT_EQ(core.leader(), std::nullopt);
    EXPECT_TRUE(core.lead(slot_b, now));
    EXPECT_FALSE(core.lead(slot_a, now));
}

TEST_F(broker_hosts, are_led_by_another_when_the_leader_is_silent)
{
    const unsigned slot_a = claim(1);
    const unsigned slot_b = claim(2);
    ASSERT_TRUE(core.lead(slot_a, now));
    EXPECT_FALSE(core.lead(slot_b, now + lead_timeout - 1));
    EXPECT_TRUE(core.lead(slot_b, now + lead_timeout));
    EXPECT_EQ(core.leader(), slot_b);
}

TEST_F(broker_hosts, keep_a_leader_that_confirms_its_lead)
{
    const unsigned slot_a = claim(1);
    const unsigned slot_b = claim(2);
    ASSERT_TRUE(core.lead(slot_a, now));
    EXPECT_TRUE(core.keep_lead(now + lead_timeout));
    EXPECT_FALSE(core.lead(slot_b, now + 2 * lead_timeout - 1));
    EXPECT_TRUE(core.lead(slot_a, now + 2 * lead_timeout - 1));
    EXPECT_FALSE(core.lead(slot_b, now + 2 * lead_timeout));
}

TEST_F(broker_hosts, replace_a_silent_leader_after_the_clock_was_set_back)
{
    const unsigned slot_a = claim(1);
    const unsigned slot_b = claim(2);
    ASSERT_TRUE(core.lead(slot_a, now));
    EXPECT_FALSE(core.lead(slot_b, now - lead_timeout + 1));
    EXPECT_TRUE(core.lead(slot_b, now - lead_timeout));
}

TEST_F(broker_hosts, ignore_a_process_that_has_lost_the_lead)
{
    const unsigned slot_a = claim(1);
    const subscription room = subscribe(slot_a);
    broker other(lock);
    ASSERT_TRUE(other.attach(memory()));
    const unsigned slot_b = *other.claim(2, 2, processes, now).slot;

    EXPECT_FALSE(core.leads());
    EXPECT_FALSE(core.keep_lead(now));
    ASSERT_TRUE(core.lead(slot_a, now));
    EXPECT_TRUE(core.leads());
    ASSERT_EQ(core.reset_position("room", {7, 1}, false, now).result,
              outcome::done);
    ASSERT_TRUE(other.lead(slot_b, now + lead_timeout));
    EXPECT_EQ(other.set_link_generation(3), outcome::done);
    EXPECT_EQ(other.mark_synced("room", 3), outcome::done);

    EXPECT_FALSE(core.leads());
    EXPECT_FALSE(core.keep_lead(now));
    EXPECT_EQ(core.append_external("room", {}, {7, 2}, now).result,
              outcome::not_leading);
    EXPECT_EQ(core.append_external("room", message_of("x"), {}, now).result,
              outcome::not_leading);
    EXPECT_EQ(core.reset_position("room", {8, 1}, true, now).result,
              outcome::not_leading);
    EXPECT_EQ(core.set_link_generation(0), outcome::not_leading);
    EXPECT_EQ(core.mark_synced("room", 0), outcome::not_leading);
    EXPECT_EQ(core.mark_run("room", 5), outcome::not_leading);
    EXPECT_EQ(core.set_remote_clients("room", 5), outcome::not_leading);
    EXPECT_EQ(core.store_cursor(2, {{7, 1}, 5}), outcome::not_leading);

    EXPECT_EQ(other.cursor(2), log_cursor{});
    EXPECT_TRUE(other.synced(room));
    EXPECT_EQ(core.clients(room), 0);
    EXPECT_EQ(other.append_external("room", {}, {7, 2}, now).result,
              outcome::done);

    other.resign(slot_b);
    EXPECT_EQ(other.mark_synced("room", 3), outcome::not_leading);
    EXPECT_TRUE(core.lead(slot_a, now));
    EXPECT_EQ(core.append_external("room", {}, {7, 3}, now).result,
              outcome::done);
}

TEST_F(broker_hosts, are_led_by_another_when_the_leader_has_died)
{
    const unsigned slot_a = claim(1);
    const unsigned slot_b = claim(2);
    core.lead(slot_a, now);
    processes.dead = {1};
    EXPECT_FALSE(core.lead(slot_b, now)); // the death is not detected yet
    core.reclaim_dead(processes, now);
    EXPECT_EQ(core.leader(), std::nullopt);
    EXPECT_TRUE(core.lead(slot_b, now));

    processes.dead = {2};
    EXPECT_EQ(claim(3), slot_a);
    EXPECT_EQ(core.leader(), std::nullopt);
    EXPECT_TRUE(core.lead(slot_a, now));
}
