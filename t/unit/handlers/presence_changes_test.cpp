// Pending presence events of joins and leaves.
#include "handlers/presence_changes.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace {

using websocket::handlers::presence_changes;

std::vector<std::uint64_t> clients_after(const presence_changes &changes,
                                         std::uint64_t before)
{
    std::vector<std::uint64_t> clients;

    for (const auto &each : changes.after(before)) {
        clients.push_back(each.client);
    }

    return clients;
}

using clients = std::vector<std::uint64_t>;

} // namespace

TEST(presence_changes, keep_names_in_order)
{
    presence_changes changes;
    EXPECT_TRUE(changes.empty());
    changes.add(true, 7);
    changes.add(false, 8);
    EXPECT_FALSE(changes.empty());
    EXPECT_TRUE(changes.all_named());
    EXPECT_EQ(clients_after(changes, 0), (clients{7, 8}));
    EXPECT_TRUE(changes.after(0)[0].joined);
    EXPECT_FALSE(changes.after(0)[1].joined);
    EXPECT_TRUE(changes.names(8));
    EXPECT_FALSE(changes.names(9));
    changes.clear();
    EXPECT_TRUE(changes.empty());
    EXPECT_FALSE(changes.names(8));
}

TEST(presence_changes, before_a_client_are_not_after_it)
{
    presence_changes changes;
    changes.add(true, 1);
    changes.clear();
    changes.add(true, 2);
    const std::uint64_t before = changes.added();
    changes.add(true, 3);
    EXPECT_EQ(clients_after(changes, before), clients{3});
    EXPECT_EQ(clients_after(changes, 0), (clients{2, 3}));
    EXPECT_EQ(clients_after(changes, changes.added()), clients{});
    changes.clear();
    EXPECT_EQ(clients_after(changes, before), clients{});
    changes.add(false, 2);
    EXPECT_EQ(clients_after(changes, before), clients{2});
}

TEST(presence_changes, beyond_the_limit_have_no_names)
{
    presence_changes changes;

    for (std::uint64_t i = 1; i <= presence_changes::max_named; i++) {
        changes.add(true, i);
    }
    EXPECT_TRUE(changes.all_named());
    changes.add(true, 5000);
    EXPECT_FALSE(changes.all_named());
    changes.clear();
    EXPECT_TRUE(changes.all_named());
    changes.add(true, 1);
    changes.add_unnamed(false, true);
    changes.add(true, 2);
    EXPECT_FALSE(changes.all_named());
    EXPECT_TRUE(changes.any_joined());
    EXPECT_TRUE(changes.any_left());
}

TEST(presence_changes, name_clients_and_users)
{
    presence_changes changes;

    changes.add(true, 7, "ann");
    changes.add(false, 8);
    EXPECT_EQ(changes.after(0)[0].user, "ann");
    EXPECT_EQ(changes.after(0)[1].user, "");
    EXPECT_TRUE(changes.names(7));
    EXPECT_TRUE(changes.names(9, "ann"));
    EXPECT_FALSE(changes.names(9, "bob"));
    EXPECT_FALSE(changes.names(9, ""));
    changes.clear();
    EXPECT_FALSE(changes.names(7, "ann"));
}

TEST(presence_changes, of_a_client_alone_concern_no_others)
{
    presence_changes changes;
    const std::uint64_t before = changes.added();
    EXPECT_FALSE(changes.concerns_others(before, 7));
    changes.add(true, 7);
    EXPECT_FALSE(changes.concerns_others(before, 7));
    EXPECT_TRUE(changes.concerns_others(before, 8));
    changes.add(true, 8);
    EXPECT_TRUE(changes.concerns_others(before, 7));
    EXPECT_TRUE(changes.concerns_others(before, 8));
    EXPECT_FALSE(changes.concerns_others(changes.added(), 7));
    changes.clear();
    changes.add_unnamed(false, true);
    EXPECT_TRUE(changes.concerns_others(before, 7));
}
