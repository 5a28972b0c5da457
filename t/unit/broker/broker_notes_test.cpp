// Notes: what a process leaves to the others.
#include "broker_fixture.hpp"

#include <array>

using namespace broker_tests;

namespace {

class broker_notes : public broker_test {
protected:
    broker_notes() { make(); }

    std::optional<found_note> adopt(unsigned slot)
    {
        return adopt(slot, std::array<std::uint32_t, 2>{1, 2});
    }

    std::optional<found_note> adopt(unsigned slot,
                                    std::span<const std::uint32_t> kinds)
    {
        return core.adopt_note(slot, kinds, buffer_, now);
    }

private:
    std::array<char, 8192> buffer_;
};

} // namespace

TEST_F(broker_notes, of_a_process_that_ends_are_adopted_once)
{
    const unsigned gone = claim(10);
    const unsigned other = claim(20);
    const std::string long_text(1000, 'l');
    const note first = core.add_note(gone, 1, "first", now);
    const note second = core.add_note(gone, 2, long_text, now);

    EXPECT_TRUE(core.set_note_state(second, std::string(500, 's'), now));
    core.count_note(first, 12);
    core.end_note(first, 1001);
    EXPECT_FALSE(adopt(other));

    core.release(gone, now);

    const auto found = adopt(other);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->text, "first");
    EXPECT_EQ(found->state, "");
    EXPECT_EQ(found->kind, 1);
    EXPECT_EQ(found->sequence, 12);
    EXPECT_EQ(found->code, 1001);

    const auto next = adopt(other);
    ASSERT_TRUE(next);
    EXPECT_EQ(next->text, long_text);
    EXPECT_EQ(next->state, std::string(500, 's'));
    EXPECT_FALSE(adopt(other));
    EXPECT_EQ(check_integrity(core), "");
}

TEST_F(broker_notes, are_adopted_again_from_one_that_adopted_them)
{
    const unsigned gone = claim(10);
    const unsigned second = claim(20);

    core.add_note(gone, 1, "x", now);
    core.release(gone, now);
    EXPECT_EQ(adopt(second)->adoptions, 1);
    core.release(second, now);

    const auto again = adopt(claim(30));
    EXPECT_EQ(again->text, "x");
    EXPECT_EQ(again->adoptions, 2);
}

TEST_F(broker_notes, that_are_removed_free_their_memory)
{
    const unsigned slot = claim(10);
    const std::size_t before = core.measure().used;
    std::array<note, 5> notes;

    for (note &each : notes) {
        each = core.add_note(slot, 1, std::string(300, 'x'), now);
        EXPECT_TRUE(core.set_note_state(each, std::string(400, 's'), now));
        EXPECT_TRUE(core.set_note_state(each, "s", now));
    }
    EXPECT_GT(core.measure().used, before);
    for (const std::size_t i : {2, 0, 4, 1, 3}) {
        core.remove_note(notes[i]);
        EXPECT_EQ(check_integrity(core), "");
    }
    EXPECT_EQ(core.measure().used, before);
}

TEST_F(broker_notes, have_at_most_half_of_the_memory)
{
    const unsigned slot = claim(10);
    const std::string text(900, 'x');
    std::size_t count = 0;
    note last;

    while (const note added = core.add_note(slot, 1, text, now)) {
        last = added;
        count++;
    }
    EXPECT_GT(count, 5);
    EXPECT_LE(core.measure().used, core.measure().size / 2);
    EXPECT_FALSE(core.set_note_state(last, text, now));
    EXPECT_EQ(check_integrity(core), "");
    core.remove_note(last);
    EXPECT_TRUE(core.add_note(slot, 1, text, now));
}

TEST_F(broker_notes, that_do_not_fit_are_not_adopted)
{
    const unsigned gone = claim(10);
    const unsigned other = claim(20);
    std::array<char, 4> small;

    const note added = core.add_note(gone, 1, "12345", now);
    EXPECT_TRUE(core.set_note_state(added, "678", now));
    core.release(gone, now);
    EXPECT_EQ(core.adopt_note(other, {}, small, now + 10'000)->needed, 8);
    EXPECT_EQ(adopt(other)->text, "12345");
}

TEST_F(broker_notes, of_other_kinds_are_left_to_others_for_ten_seconds)
{
    const unsigned gone = claim(10);
    const unsigned other = claim(20);
    const std::array<std::uint32_t, 1> kinds{2};

    for (const std::uint32_t kind : {1, 2, 3, 2, 4}) {
        core.add_note(gone, kind, std::to_string(kind), now);
    }
    core.release(gone, now);

    EXPECT_EQ(adopt(other, kinds)->text, "2");
    EXPECT_EQ(adopt(other, kinds)->text, "2");
    EXPECT_EQ(check_integrity(core), "");
    now += 9'999;
    EXPECT_FALSE(adopt(other, kinds));
    now += 1;
    for (const char *text : {"1", "3", "4"}) {
        EXPECT_EQ(adopt(other, kinds)->text, text);
    }
    EXPECT_FALSE(adopt(other, kinds));
    EXPECT_EQ(check_integrity(core), "");
}

TEST_F(broker_notes, that_are_abandoned_are_adopted_by_any_process)
{
    const unsigned slot = claim(10);
    const note first = core.add_note(slot, 1, "first", now);

    core.add_note(slot, 1, "second", now);
    core.count_note(first, 7);
    core.end_note(first, 1000);
    core.abandon_note(first, now);
    EXPECT_EQ(check_integrity(core), "");

    const auto found = adopt(slot);
    EXPECT_EQ(found->text, "first");
    EXPECT_EQ(found->sequence, 7);
    EXPECT_EQ(found->code, 1000);
    EXPECT_EQ(found->adoptions, 1);
    EXPECT_FALSE(adopt(slot));
    EXPECT_EQ(check_integrity(core), "");
}

TEST_F(broker_notes, need_a_slot)
{
    EXPECT_FALSE(core.add_note(0, 1, "x", now));
    EXPECT_FALSE(core.add_note(99, 1, "x", now));
    EXPECT_FALSE(adopt(0));
}
