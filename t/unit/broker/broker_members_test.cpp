// Members: the users of scopes, their clients on each slot, and what remains of
// processes that end.
#include "members_fixture.hpp"

using namespace broker_tests;

namespace {

class broker_members : public members_test {};

} // namespace

TEST_F(broker_members, are_absent_before_their_first_client)
{
    const unsigned a = claim(10);
    const unsigned b = claim(20);

    const added_member first = add(a, "ann");
    EXPECT_EQ(first.result, outcome::done);
    EXPECT_EQ(first.clients, 1);
    EXPECT_TRUE(first.was_absent);

    const added_member second = add(b, "ann");
    EXPECT_EQ(second.clients, 2);
    EXPECT_FALSE(second.was_absent);
    EXPECT_EQ(add(b, "ann").clients, 3);
    EXPECT_TRUE(add(a, "bob").was_absent);
    EXPECT_TRUE(add(a, "ann", "room:b").was_absent);
}

TEST_F(broker_members, are_gone_with_their_last_client)
{
    const unsigned a = claim(10);
    const unsigned b = claim(20);
    const std::size_t before = core.measure().used;

    add(a, "ann");
    add(b, "ann");
    add(b, "ann");
    EXPECT_EQ(remove(b, "ann").clients, 2);
    EXPECT_EQ(remove(a, "ann").clients, 1);
    EXPECT_EQ(remove(a, "ann").result, outcome::gone);
    EXPECT_EQ(core.measure().members, 1);

    const removed_member last = remove(b, "ann");
    EXPECT_EQ(last.result, outcome::done);
    EXPECT_EQ(last.clients, 0);
    EXPECT_EQ(core.measure().used, before);
    EXPECT_EQ(core.measure().members, 0);
    EXPECT_EQ(remove(b, "ann").result, outcome::gone);
    EXPECT_TRUE(add(a, "ann").was_absent);
}

TEST_F(broker_members, linger_until_they_end)
{
    const unsigned a = claim(10);
    const unsigned b = claim(20);

    add(a, "ann");
    EXPECT_EQ(remove(a, "ann", true).clients, 0);
    EXPECT_TRUE(core.count_member("room:a", "ann").lingers);
    EXPECT_EQ(core.count_users("room:a"), 0);
    EXPECT_EQ(page("", 4), "ann=0 ");

    EXPECT_FALSE(end(b, "ann"));
    EXPECT_TRUE(end(a, "ann"));
    EXPECT_FALSE(end(a, "ann"));
    EXPECT_FALSE(core.count_member("room:a", "ann").lingers);
    EXPECT_EQ(core.measure().used, 0);
}

TEST_F(broker_members, that_return_while_they_linger_were_not_absent)
{
    const unsigned a = claim(10);
    const unsigned b = claim(20);

    for (const unsigned next : {a, b}) {
        add(a, "ann");
        remove(a, "ann", true);
        const added_member back = add(next, "ann");
        EXPECT_EQ(back.clients, 1);
        EXPECT_FALSE(back.was_absent);
        EXPECT_FALSE(end(a, "ann"));
        EXPECT_EQ(check_integrity(core), "");
        EXPECT_EQ(remove(next, "ann").clients, 0);
    }
}

TEST_F(broker_members, that_linger_again_elsewhere_end_only_there)
{
    const unsigned a = claim(10);
    const unsigned b = claim(20);

    add(a, "ann");
    remove(a, "ann", true);
    add(b, "ann");
    remove(b, "ann", true);
    EXPECT_FALSE(end(a, "ann"));
    EXPECT_TRUE(end(b, "ann"));
}

TEST_F(broker_members, are_counted_with_their_slots)
{
    const unsigned a = claim(10);
    const unsigned b = claim(20);
    claim(30);

    add(a, "ann");
    add(b, "ann");
    add(b, "ann");
    add(b, "bob");

    const counted_member ann = core.count_member("room:a", "ann");
    EXPECT_EQ(ann.clients, 3);
    EXPECT_TRUE(ann.slots.test(a) && ann.slots.test(b));
    EXPECT_EQ(ann.slots.count(), 2);
    EXPECT_FALSE(ann.lingers);
    EXPECT_TRUE(core.count_member("room:a", "bob").slots.test(b));
    EXPECT_EQ(core.count_member("room:a", "eve").clients, 0);
    EXPECT_EQ(core.count_member("room:b", "ann").clients, 0);
    EXPECT_EQ(core.count_users("room:a"), 2);
    EXPECT_EQ(core.count_users("room:b"), 0);
}

TEST_F(broker_members, of_long_names_take_more_memory)
{
    const unsigned slot = claim(10);
    const std::string scope(max_name_size, 's');
    const std::string user(max_user_size, 'u');

    EXPECT_EQ(add(slot, "a").result, outcome::done);
    EXPECT_EQ(core.measure().used, 256);
    EXPECT_EQ(add(slot, std::string(60, 'b')).result, outcome::done);
    EXPECT_EQ(core.measure().used, 384);
    EXPECT_TRUE(core.add_member(slot, scope, user, now).was_absent);
    EXPECT_FALSE(core.add_member(slot, scope, user, now).was_absent);
    EXPECT_EQ(core.count_member(scope, user).clients, 2);
    EXPECT_EQ(check_integrity(core), "");

    EXPECT_EQ(core.add_member(slot, scope + 's', user, now).result,
              outcome::name_too_long);
    EXPECT_EQ(add(slot, user + 'u').result, outcome::name_too_long);
    EXPECT_EQ(add(slot, "").result, outcome::name_too_long);
    EXPECT_EQ(core.remove_member(slot, scope + 's', user, true).result,
              outcome::gone);
}

TEST_F(broker_members, need_a_slot)
{
    EXPECT_EQ(add(0, "ann").result, outcome::gone);
    EXPECT_EQ(add(99, "ann").result, outcome::gone);
    add(claim(10), "ann");
    EXPECT_EQ(add(max_slots, "ann").result, outcome::gone);
    EXPECT_EQ(remove(1, "ann").result, outcome::gone);
    EXPECT_FALSE(end(max_slots, "ann"));
}

TEST_F(broker_members, of_a_process_that_ends_are_taken_once)
{
    const unsigned gone = claim(10);
    const unsigned other = claim(20);

    add(gone, "ann");
    add(gone, "bob", "room:b");
    add(gone, "bob", "room:b");
    add(gone, "both");
    add(other, "both");
    add(gone, "lingers");
    remove(gone, "lingers", true);
    EXPECT_EQ(take(other), "");

    processes.dead = {10};
    core.reclaim_dead(processes, now);
    EXPECT_EQ(check_integrity(core), "");
    EXPECT_EQ(core.count_users("room:a"), 1);
    EXPECT_EQ(core.count_member("room:a", "both").clients, 1);
    EXPECT_EQ(core.count_member("room:a", "ann").clients, 0);
    EXPECT_TRUE(core.count_member("room:a", "ann").lingers);

    std::set<std::string> lost;
    for (std::string each = take(other); !each.empty(); each = take(other)) {
        EXPECT_TRUE(lost.insert(each).second);
    }
    EXPECT_EQ(lost, (std::set<std::string>{"room:a ann", "room:a lingers",
                                           "room:b bob"}));
    EXPECT_TRUE(end(other, "ann"));
    EXPECT_TRUE(end(other, "lingers"));
    EXPECT_TRUE(core.end_member(other, "room:b", "bob"));
    EXPECT_FALSE(end(other, "both"));
    EXPECT_EQ(core.measure().members, 1);
}

TEST_F(broker_members, that_return_before_they_are_taken_are_not_lost)
{
    const unsigned gone = claim(10);
    const unsigned other = claim(20);

    add(gone, "ann");
    add(gone, "bob");
    core.release(gone, now);
    EXPECT_FALSE(add(other, "ann").was_absent);
    EXPECT_EQ(check_integrity(core), "");
    EXPECT_EQ(take(other), "room:a bob");
    EXPECT_EQ(take(other), "");
    EXPECT_FALSE(add(other, "bob").was_absent);
    EXPECT_FALSE(end(other, "bob"));
}

TEST_F(broker_members, are_taken_again_from_a_process_that_ends_too)
{
    const unsigned gone = claim(10);
    const unsigned second = claim(20);
    const unsigned third = claim(30);

    add(gone, "ann");
    core.release(gone, now);
    EXPECT_EQ(take(second), "room:a ann");
    EXPECT_EQ(take(third), "");
    core.release(second, now);
    EXPECT_EQ(take(third), "room:a ann");
    EXPECT_FALSE(end(second, "ann"));
    EXPECT_TRUE(end(third, "ann"));
    EXPECT_EQ(core.measure().used, 0);
}

TEST_F(broker_members, are_not_inherited_with_a_slot)
{
    const unsigned gone = claim(10);

    add(gone, "ann");
    const unsigned next = claim(10);
    EXPECT_EQ(next, gone);
    EXPECT_EQ(core.count_member("room:a", "ann").clients, 0);
    EXPECT_EQ(remove(next, "ann").result, outcome::gone);
    EXPECT_FALSE(end(next, "ann"));
    EXPECT_EQ(take(next), "room:a ann");
}

TEST_F(broker_members, may_have_clients_on_all_slots)
{
    constexpr int many = 100;
    std::vector<unsigned> slots;

    make(1024 * kibibyte, many);
    for (int i = 0; i < many; i++) {
        slots.push_back(claim(10 + i));
        EXPECT_EQ(add(slots.back(), "ann").clients, i + 1);
    }
    EXPECT_EQ(core.count_member("room:a", "ann").slots.count(), many);
    EXPECT_EQ(check_integrity(core), "");
    for (int i = 0; i < many; i++) {
        EXPECT_EQ(remove(slots[i], "ann").clients, many - 1 - i);
    }
    EXPECT_EQ(core.measure().used, 0);
}

TEST_F(broker_members, have_at_most_a_quarter_of_the_memory)
{
    const unsigned slot = claim(10);
    int count = 0;

    while (add(slot, numbered(count)).result == outcome::done) {
        count++;
    }
    EXPECT_LE(core.measure().used, core.measure().size / 4);
    EXPECT_GT(core.measure().used, core.measure().size / 4 - 256);
    EXPECT_EQ(core.measure().refused, 1);
    EXPECT_EQ(core.measure().members, count);
    EXPECT_EQ(add(slot, "new", "room:b").result, outcome::no_memory);
    EXPECT_EQ(core.count_users("room:b"), 0);
    EXPECT_EQ(add(slot, numbered(0)).clients, 2);
    remove(slot, numbered(1));
    EXPECT_EQ(add(slot, "another").result, outcome::done);
}

TEST_F(broker_members, displace_the_oldest_messages)
{
    const unsigned slot = claim(10);
    const subscription room = subscribe(slot, "room", {.messages = 100'000});

    while (core.measure().dropped_unread + core.measure().dropped_history ==
           0) {
        send(room, std::string(100, 'm'));
    }
    EXPECT_EQ(add(slot, "ann").result, outcome::done);
    EXPECT_EQ(add(slot, "bob").result, outcome::done);
    EXPECT_EQ(core.count_users("room:a"), 2);
}

TEST_F(broker_members, are_lost_in_several_holds)
{
    const unsigned gone = claim(10);
    const unsigned other = claim(20);
    int taken = 0;

    for (int i = 0; i < 300; i++) {
        add(gone, numbered(i));
        if (i % 3 == 0) {
            add(other, numbered(i));
        }
    }
    core.limit_holds(2, 2);
    core.release(gone, now);
    EXPECT_EQ(core.count_users("room:a"), 100);
    while (!take(other).empty()) {
        taken++;
    }
    EXPECT_EQ(taken, 200);
}
