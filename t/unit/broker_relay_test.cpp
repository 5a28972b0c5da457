// Messages that somebody else numbers: what is taken into a log, and with
// which ids it is read.
#include "broker_fixture.hpp"

using namespace broker_tests;

namespace {

constexpr std::uint64_t outer = 77; // an epoch of whoever numbers

class broker_relay : public broker_test {
protected:
    broker_relay() { make(); }

    appended relay(std::uint64_t sequence, std::string_view text = {})
    {
        return core.relay(
            "room",
            message_of(text.empty() ? std::to_string(sequence) : text, now),
            {outer, sequence}, now);
    }

    void relay_all(std::uint64_t first, std::uint64_t last)
    {
        for (std::uint64_t i = first; i <= last; i++) {
            EXPECT_EQ(relay(i).result, outcome::done) << i;
        }
    }

    appended align(std::uint64_t epoch, std::uint64_t sequence,
                   bool lost = false)
    {
        return core.align("room", {epoch, sequence}, lost, now);
    }
};

} // namespace

TEST_F(broker_relay, reaches_all_with_the_ids_it_came_with)
{
    const unsigned slot_a = claim(1);
    const unsigned slot_b = claim(2);
    const subscription a = subscribe(slot_a);
    const subscription b = subscribe(slot_b);
    ASSERT_EQ(align(outer, 500).result, outcome::done);

    const appended sent = relay(501);
    EXPECT_EQ(sent.result, outcome::done);
    EXPECT_EQ(sent.id, (message_id{outer, 501}));
    EXPECT_EQ(sent.wake, slot_set{3});
    EXPECT_EQ(core.last_id(a), (message_id{outer, 501}));
    EXPECT_EQ(core.passed_id(a), (message_id{outer, 500}));
    EXPECT_EQ(core.describe("room", now).last, (message_id{outer, 501}));

    reading_room room;
    ASSERT_EQ(core.read(a, room.lent(), now).count, 1);
    EXPECT_EQ(room.first(1)[0].id, (message_id{outer, 501}));
    EXPECT_EQ(text_of(room.first(1)[0].payload), "501");
    EXPECT_EQ(read(b), texts{"501"});
    EXPECT_EQ(core.passed_id(a), (message_id{outer, 501}));
}

TEST_F(broker_relay, makes_no_log)
{
    EXPECT_EQ(relay(1).result, outcome::gone);
    EXPECT_EQ(align(outer, 0).result, outcome::gone);
    EXPECT_EQ(core.mark_linked("room", 1), outcome::gone);
    EXPECT_EQ(core.set_remote_clients("room", 1), outcome::gone);
    const std::string too_long(longest_name + 1, 'n');
    EXPECT_EQ(core.relay(too_long, message_of("x"), {outer, 1}, now).result,
              outcome::gone);
    EXPECT_EQ(core.align(too_long, {outer, 1}, false, now).result,
              outcome::gone);
    EXPECT_EQ(core.mark_linked(too_long, 1), outcome::gone);
    EXPECT_EQ(core.measure().logs, 0);
}

TEST_F(broker_relay, takes_the_message_that_follows_alone)
{
    const subscription a = subscribe(claim(1));
    align(outer, 5);

    EXPECT_EQ(relay(7).result, outcome::out_of_order);
    EXPECT_EQ(relay(7).id, (message_id{outer, 5}));
    EXPECT_EQ(relay(5).result, outcome::known);
    EXPECT_EQ(relay(5).id, (message_id{outer, 5}));
    EXPECT_EQ(relay(0).result, outcome::known);
    EXPECT_EQ(relay(6).result, outcome::done);
    EXPECT_EQ(relay(6).result, outcome::known);
    EXPECT_EQ(read(a), texts{"6"});
}

TEST_F(broker_relay, into_another_epoch_is_refused)
{
    const subscription a = subscribe(claim(1));
    const std::uint64_t own = core.last_id(a).epoch;

    for (const std::uint64_t epoch : {outer, own, std::uint64_t{0}}) {
        EXPECT_EQ(core.relay("room", message_of("x"), {epoch, 1}, now).result,
                  outcome::out_of_order);
    }
    align(outer, 0);
    for (const std::uint64_t epoch : {outer + 1, own, std::uint64_t{0}}) {
        EXPECT_EQ(core.relay("room", message_of("x"), {epoch, 1}, now).result,
                  outcome::out_of_order);
    }
    EXPECT_EQ(align(0, 3).result, outcome::out_of_order);
    EXPECT_EQ(core.last_id(a), (message_id{outer, 0}));
    EXPECT_EQ(read(a), texts{});
}

TEST_F(broker_relay, of_transient_entries_asks_for_no_id)
{
    const subscription a = subscribe(claim(1), "room", {.messages = 9});
    EXPECT_EQ(core.relay("room", transient_of("t"), {}, now).result,
              outcome::done);
    EXPECT_EQ(read(a), texts{"t"});

    align(outer, 5);
    relay_all(6, 6);
    const appended sent =
        core.relay("room", transient_of("t"), {outer, 900}, now);
    EXPECT_EQ(sent.id, (message_id{outer, 6}));
    relay_all(7, 7);
    EXPECT_EQ(read(a), (texts{"6", "t", "7"}));
    EXPECT_EQ(history(a, 5), (texts{"6", "7"}));
}

TEST_F(broker_relay, that_nobody_wants_takes_its_number_only)
{
    core.append("room", message_of("x"), {}, now);
    align(outer, 5);
    const appended sent = relay(6);
    EXPECT_EQ(sent.result, outcome::done);
    EXPECT_EQ(sent.id, (message_id{outer, 6}));
    EXPECT_TRUE(sent.wake.none());
    EXPECT_EQ(core.measure().entries, 0);
    EXPECT_EQ(relay(7).result, outcome::done);
}
