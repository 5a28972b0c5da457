// The grace of a scope: for how long its users linger, and the entries of logs
// that report their ends.
#include "members_fixture.hpp"

using namespace broker_tests;

namespace {

class broker_grace : public members_test {
protected:
    // The payloads of the entries, each followed by a space.
    std::string entries_of(subscription log)
    {
        read_memory storage(64, 8192);
        const read_result read = core.read(log, storage.buffers(), now);
        std::string text;

        for (const message &each : storage.first(read.count)) {
            EXPECT_TRUE(each.transient);
            text += text_of(each.payload) + ' ';
        }

        return text;
    }
};

} // namespace

TEST_F(broker_grace, lets_users_linger_after_their_last_client)
{
    const unsigned a = claim(10);
    const unsigned b = claim(20);

    add(a, "ann", 500);
    add(b, "ann");
    EXPECT_FALSE(remove(a, "ann").grace);
    EXPECT_FALSE(core.count_member("room:a", "ann").lingers);

    const removed_member last = remove(b, "ann");
    EXPECT_EQ(last.clients, 0);
    EXPECT_EQ(last.grace, 500);
    EXPECT_TRUE(core.count_member("room:a", "ann").lingers);
    EXPECT_FALSE(add(a, "ann").was_absent);
    EXPECT_FALSE(end(b, "ann"));
}

TEST_F(broker_grace, is_the_largest_of_a_scope)
{
    const unsigned slot = claim(10);

    add(slot, "ann", 500);
    add(slot, "ann", 700);
    add(slot, "bob", 600);
    EXPECT_EQ(remove(slot, "bob").grace, 700);
    add(slot, "ann", UINT32_MAX);
    add(slot, "bob", 1);
    EXPECT_EQ(remove(slot, "bob").grace, UINT32_MAX - 1);
    EXPECT_FALSE(core.add_member(slot, "room:b", "ann", now).clients != 1);
    EXPECT_FALSE(core.remove_member(slot, "room:b", "ann", false).grace);
}

TEST_F(broker_grace, may_be_zero)
{
    const unsigned slot = claim(10);

    add(slot, "ann", 0);
    EXPECT_EQ(remove(slot, "ann").grace, 0);
    EXPECT_TRUE(end(slot, "ann"));
}

TEST_F(broker_grace, ends_with_the_scope)
{
    const unsigned slot = claim(10);

    add(slot, "ann", 500);
    remove(slot, "ann");
    EXPECT_TRUE(end(slot, "ann"));
    EXPECT_EQ(core.measure().used, 0);
    add(slot, "ann");
    EXPECT_FALSE(remove(slot, "ann").grace);
    EXPECT_EQ(core.measure().used, 0);
}

TEST_F(broker_grace, is_known_for_lost_users)
{
    const unsigned gone = claim(10);
    const unsigned other = claim(20);
    std::array<char, max_name_size> scope;
    std::array<char, max_user_size> user;

    add(gone, "ann", 500);
    core.release(gone, now);

    auto lost = core.take_lost_member(other, scope, user);
    ASSERT_TRUE(lost);
    EXPECT_EQ(lost->grace, 500);

    add(other, "bob", "room:b");
    core.release(other, now);
    const unsigned third = claim(30);
    lost = core.take_lost_member(third, scope, user);
    ASSERT_TRUE(lost);
    EXPECT_EQ(lost->grace.has_value(), lost->scope == "room:a");
}

TEST_F(broker_grace, counts_users_who_linger)
{
    const unsigned slot = claim(10);

    add(slot, "ann", 500);
    add(slot, "ann");
    add(slot, "bob");
    remove(slot, "bob");

    const counted_scope counted = core.count_scope("room:a");
    EXPECT_EQ(counted.users, 1);
    EXPECT_EQ(counted.members, 2);
    EXPECT_EQ(counted.clients, 2);
    EXPECT_TRUE(counted.lingers);
    add(slot, "ann", "room:b");
    EXPECT_FALSE(core.count_scope("room:b").lingers);
    EXPECT_EQ(core.count_scope("room:c").members, 0);
}

TEST_F(broker_grace, ends_with_an_entry_of_the_log)
{
    const unsigned slot = claim(10);
    const subscription room = subscribe(slot, "room");

    add(slot, "ann", 0);
    EXPECT_FALSE(end_with_entry(slot, "ann").ended);
    remove(slot, "ann");

    const ended_member done = end_with_entry(slot, "ann");
    EXPECT_TRUE(done.ended);
    EXPECT_EQ(done.appended.result, outcome::done);
    EXPECT_TRUE(done.appended.wake.test(slot));
    EXPECT_FALSE(end_with_entry(slot, "ann").ended);
    EXPECT_EQ(entries_of(room), "ann ");
    EXPECT_EQ(core.count_scope("room:a").members, 0);
}

TEST_F(broker_grace, ends_without_a_log)
{
    const unsigned slot = claim(10);

    add(slot, "ann", 0);
    remove(slot, "ann");

    const ended_member done = end_with_entry(slot, "ann");
    EXPECT_TRUE(done.ended);
    EXPECT_EQ(done.appended.result, outcome::gone);
    EXPECT_EQ(core.measure().used, 0);
}

TEST_F(broker_grace, ends_in_several_holds)
{
    const unsigned slot = claim(10);
    const subscription room = subscribe(slot, "room", {.messages = 100'000});

    while (core.measure().dropped_unread + core.measure().dropped_history ==
           0) {
        send(room, std::string(100, 'm'));
    }
    add(slot, "ann", 0);
    remove(slot, "ann");
    core.limit_holds(1, 1);
    EXPECT_TRUE(end_with_entry(slot, "ann").ended);
    EXPECT_EQ(check_integrity(core), "");
}
