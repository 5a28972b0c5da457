// Lists of members: order, pages, and holds of the lock.
#include "members_fixture.hpp"

using namespace broker_tests;

namespace {

class broker_member_lists : public members_test {};

} // namespace

TEST_F(broker_member_lists, are_listed_in_the_order_of_their_bytes)
{
    const unsigned slot = claim(10);

    for (const char *user : {"b", "a", "\xff", "ab", "B", "aa", "c"}) {
        add(slot, user);
    }
    add(slot, "aa");
    add(slot, "lingers");
    remove(slot, "lingers", true);

    EXPECT_EQ(page("", 3), "B=1 a=1 aa=2 ...");
    EXPECT_EQ(page("aa", 3), "ab=1 b=1 c=1 ...");
    EXPECT_EQ(page("c", 3), "lingers=0 \xff=1 ");
    EXPECT_EQ(page("a0", 9), "aa=2 ab=1 b=1 c=1 lingers=0 \xff=1 ");
    EXPECT_EQ(page("\xff", 3), "");
    EXPECT_EQ(page("", 8), "B=1 a=1 aa=2 ab=1 b=1 c=1 lingers=0 \xff=1 ");
    EXPECT_EQ(page(std::string(1000, 'b'), 1), "c=1 ...");
}

TEST_F(broker_member_lists, are_listed_as_far_as_their_names_fit)
{
    const unsigned slot = claim(10);

    add(slot, std::string(max_user_size, 'a'));
    add(slot, std::string(max_user_size, 'b'));
    EXPECT_EQ(page("", 4, 2 * max_user_size - 1),
              std::string(max_user_size, 'a') + "=1 ...");
    EXPECT_EQ(page(std::string(max_user_size, 'a'), 4),
              std::string(max_user_size, 'b') + "=1 ");
}

TEST_F(broker_member_lists, are_listed_in_several_holds)
{
    const unsigned slot = claim(10);
    std::string expected;

    for (int i = 0; i < 200; i++) {
        add(slot, numbered(i * 7 % 200));
    }
    for (int i = 0; i < 100; i++) {
        remove(slot, numbered(i), true);
        expected += numbered(i) + "=0 ";
    }
    for (int i = 100; i < 200; i++) {
        expected += numbered(i) + "=1 ";
    }
    core.limit_holds(3, 256);
    EXPECT_EQ(page("", 200, 200 * max_user_size), expected);
    EXPECT_EQ(page(numbered(99), 1), numbered(100) + "=1 ...");
    EXPECT_EQ(check_integrity(core), "");
}
