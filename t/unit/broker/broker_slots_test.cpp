// Slots and clients: claims of processes, and the release after their death.
#include "broker_fixture.hpp"

using namespace broker_tests;

namespace {

class broker_slots : public broker_test {
protected:
    broker_slots() { make(); }

    void join(subscription to, int times)
    {
        for (int i = 0; i < times; i++) {
            EXPECT_EQ(core.join(to, 0), outcome::done);
        }
    }
};

} // namespace

TEST_F(broker_slots, are_given_to_one_process_each)
{
    EXPECT_EQ(claim(10), 0);
    EXPECT_EQ(claim(20), 1);
    EXPECT_EQ(claim(30), 2);
    EXPECT_EQ(claim(40), 3);
    EXPECT_FALSE(core.claim(50, 50, processes, now).slot.has_value());

    core.release(2, now);
    EXPECT_EQ(claim(50), 2);
}

TEST_F(broker_slots, without_a_process_are_refused)
{
    for (const unsigned slot : {0U, 3U, 4U, 1000U}) {
        EXPECT_EQ(core.subscribe(slot, "room", nullptr, {}, now).result,
                  outcome::gone);
        EXPECT_FALSE(core.next_unread(slot));
        core.release(slot, now);
    }
    EXPECT_EQ(core.measure().used, 0);
}

TEST_F(broker_slots, released_lose_their_subscriptions_and_clients)
{
    const unsigned slot_a = claim(10);
    const unsigned slot_b = claim(20);
    const subscription a = subscribe(slot_a);
    const subscription b = subscribe(slot_b);
    join(a, 3);
    join(b, 2);
    EXPECT_EQ(core.clients(b), 5);
    send(b, "x");
    drain(slot_b);

    core.release(slot_a, now);
    EXPECT_EQ(core.clients(b), 2);
    EXPECT_EQ(core.clients(a), 0);
    EXPECT_EQ(core.measure().subscriptions, 1);
    EXPECT_EQ(core.measure().entries, 0);
    EXPECT_TRUE(processes.lost.empty());
    EXPECT_EQ(send(b, "y").wake, slot_set{1ULL << slot_b});
}

TEST_F(broker_slots, of_dead_processes_are_reclaimed_and_lost_clients_reported)
{
    const unsigned slot_a = claim(10);
    const unsigned slot_b = claim(20);
    const subscription b = subscribe(slot_b, "shared");
    join(b, 1);
    join(subscribe(slot_a, "shared"), 3);
    join(subscribe(slot_a, "shared"), 2);
    join(subscribe(slot_a, "unshared"), 4);
    subscribe(slot_a, "without clients");

    core.reclaim_dead(processes, now);
    EXPECT_EQ(core.clients(b), 6);

    processes.dead = {10};
    core.reclaim_dead(processes, now);
    EXPECT_EQ(core.clients(b), 1);
    EXPECT_EQ(processes.freed,
              (std::map<unsigned, std::int32_t>{{slot_a, 10}}));
    EXPECT_EQ(processes.lost, (std::map<std::string, std::uint32_t>{
                                  {"shared", 5}, {"unshared", 4}}));
    EXPECT_EQ(core.measure().subscriptions, 1);
    EXPECT_EQ(claim(30), slot_a);
}

TEST_F(broker_slots, of_dead_processes_are_given_to_the_next_claim)
{
    for (const std::int32_t pid : {10, 20, 30, 40}) {
        join(subscribe(claim(pid)), 1);
    }

    processes.dead = {20, 30};
    EXPECT_EQ(claim(50), 1);
    EXPECT_EQ(claim(60), 2);
    EXPECT_EQ(processes.lost["room"], 2);
    EXPECT_EQ(core.describe("room", now).clients, 2);
}

TEST_F(broker_slots, of_the_same_process_number_are_reclaimed)
{
    const claim_result before = core.claim(10, 7, processes, now);
    join(subscribe(*before.slot), 1);

    // The pid may belong to another process by now.
    const claim_result after = core.claim(11, 7, processes, now);
    EXPECT_EQ(after.slot, before.slot);
    EXPECT_EQ(processes.lost["room"], 1);
    EXPECT_EQ(core.measure().subscriptions, 0);
}

TEST_F(broker_slots, renewed_do_not_serve_handles_of_the_owner_before)
{
    const unsigned slot = claim(10);
    const subscription old = subscribe(slot);
    processes.dead = {10};
    ASSERT_EQ(claim(20), slot);
    subscribe(slot);

    EXPECT_EQ(core.join(old, 0), outcome::gone);
    EXPECT_EQ(core.append(old, message_of("x"), now).result, outcome::gone);
    core.unsubscribe(old, now);
    EXPECT_EQ(core.measure().subscriptions, 1);
}

TEST_F(broker_slots, that_a_dead_process_was_to_wake_are_woken)
{
    const unsigned slot_a = claim(10);
    const unsigned slot_b = claim(20);
    const unsigned slot_c = claim(30);
    const subscription a = subscribe(slot_a);
    const subscription b = subscribe(slot_b);
    subscribe(slot_c, "another");

    // The process of a dies before it wakes b.
    EXPECT_TRUE(send(a, "x").wake.test(slot_b));
    processes.dead = {10};
    EXPECT_EQ(core.reclaim_dead(processes, now), slot_set{1ULL << slot_b});
    EXPECT_EQ(read(b), texts{"x"});
    EXPECT_FALSE(core.next_unread(slot_b));
    EXPECT_TRUE(core.reclaim_dead(processes, now).none());

    send(b, "y");
    EXPECT_EQ(core.claim(40, 40, processes, now).wake,
              slot_set{1ULL << slot_b});
}

TEST_F(broker_slots, with_many_subscriptions_are_reclaimed_whole)
{
    make(4096 * kibibyte);
    const unsigned slot = claim(10);
    const unsigned other = claim(20);

    for (int i = 0; i < 3000; i++) {
        join(subscribe(slot, std::to_string(i)), 1);
        subscribe(other, std::to_string(i / 2));
    }
    processes.dead = {10};
    core.reclaim_dead(processes, now);
    EXPECT_EQ(processes.lost.size(), 3000);
    EXPECT_EQ(core.measure().subscriptions, 3000);

    processes.dead = {10, 20};
    core.reclaim_dead(processes, now);
    EXPECT_EQ(core.measure().subscriptions, 0);
    forget_all();
    EXPECT_EQ(core.measure().used, 0);
}

TEST_F(broker_slots, reclaimed_by_two_at_once_are_reported_once)
{
    struct second_watch : process_table {
        bool alive(std::int32_t pid) noexcept override { return pid != 10; }
        void clients_lost(std::string_view name,
                          std::uint32_t clients) noexcept override
        {
            process_table::clients_lost(name, clients);
            if (nested) {
                nested = false;
                core->reclaim_dead(*this, 0);
                core->claim(99, 99, *this, 0);
                core->subscribe(0, "new owner's", nullptr, {}, 0);
            }
        }
        broker *core = nullptr;
        bool nested = true;
    } watch;
    watch.core = &core;
    const unsigned slot = claim(10);

    for (const char *name : {"a", "b", "c"}) {
        join(subscribe(slot, name), 2);
    }
    core.reclaim_dead(watch, now);
    EXPECT_EQ(watch.lost, (std::map<std::string, std::uint32_t>{
                              {"a", 2}, {"b", 2}, {"c", 2}}));
    EXPECT_EQ(core.measure().subscriptions, 1);
    EXPECT_FALSE(core.claim(99, 98, watch, now).slot == slot);
}

TEST_F(broker_slots, clients_are_counted_over_all_and_limited)
{
    const subscription a = subscribe(claim(10));
    const subscription b = subscribe(claim(20));

    EXPECT_EQ(core.join(a, 3), outcome::done);
    EXPECT_EQ(core.join(b, 3), outcome::done);
    EXPECT_EQ(core.join(b, 3), outcome::done);
    EXPECT_EQ(core.join(a, 3), outcome::full);
    EXPECT_EQ(core.clients(a), 3);
    EXPECT_EQ(send(a, "x").clients, 3);
    EXPECT_EQ(core.describe("room", now).clients, 3);

    core.leave(b);
    EXPECT_EQ(core.join(a, 3), outcome::done);
    core.leave(b);
    core.leave(b);
    EXPECT_EQ(core.clients(a), 2);
    core.unsubscribe(a, now);
    EXPECT_EQ(core.clients(b), 0);
}
