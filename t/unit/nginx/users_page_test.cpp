// Pages of users of several hosts, compared with a list of all.
#include "nginx/direct/users_page.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

namespace {

using user_map = std::map<std::string, std::uint32_t, std::less<>>;

// The page of one host, as the broker lists it.
std::string page_of(const user_map &users, std::string_view after,
                    std::size_t limit)
{
    users_page page(limit);
    std::size_t count = 0;

    for (auto at = users.upper_bound(after); at != users.end(); at++) {
        if (count++ == limit) {
            page.set_more();
            break;
        }
        page.add(at->first, at->second);
    }

    for (const auto &[user, clients] : users) {
        page.add_clients(clients);
    }

    return page.write();
}

TEST(users_page, is_read_as_it_was_written)
{
    users_page page(10);

    page.add("\xff\n:", 3);
    page.add("a", 4'294'967'295U);
    page.add_clients(7);
    page.set_more();

    users_page read(10);

    ASSERT_TRUE(read.read(page.write()));
    EXPECT_EQ(read.users(), page.users());
    EXPECT_EQ(read.clients(), 7U);
    EXPECT_TRUE(read.more());
}

TEST(users_page, refuses_what_is_invalid)
{
    for (const std::string_view text :
         {"", "1:1", "1:x1:0", "1:11:01:a", "1:11:01:a1:x", "1:11:02:a",
          "1:11:01:a9:1"}) {
        EXPECT_FALSE(users_page(10).read(text)) << text;
    }

    EXPECT_TRUE(users_page(10).read("1:11:01:a1:1"));
}

TEST(users_page, sums_the_clients_of_a_user)
{
    users_page page(2);

    ASSERT_TRUE(page.read(page_of({{"b", 1}, {"c", 1}}, "", 2)));
    ASSERT_TRUE(page.read(page_of({{"a", 2}, {"b", 3}}, "", 2)));
    EXPECT_EQ(page.users(), (user_map{{"a", 2}, {"b", 4}}));
    EXPECT_EQ(page.clients(), 7U);
    EXPECT_TRUE(page.more());
}

TEST(users_page, pages_of_many_hosts_are_those_of_all_users)
{
    std::mt19937 random(1);

    for (int round = 0; round != 300; round++) {
        std::vector<user_map> hosts(1 + random() % 4);
        user_map all;

        for (user_map &host : hosts) {
            for (unsigned left = random() % 12; left != 0; left--) {
                const std::string user(1 + random() % 2,
                                       static_cast<char>('a' + random() % 6));
                const std::uint32_t clients = 1 + random() % 3;

                host[user] += clients;
                all[user] += clients;
            }
        }

        const std::size_t limit = 1 + random() % 5;
        std::string after;
        user_map found;
        bool more = true;

        while (more) {
            users_page page(limit);

            for (const user_map &host : hosts) {
                ASSERT_TRUE(page.read(page_of(host, after, limit)));
            }

            const auto left = static_cast<std::size_t>(
                std::distance(all.upper_bound(after), all.end()));

            ASSERT_EQ(page.users().size(), std::min(left, limit));
            ASSERT_EQ(page.more(), left > limit);
            found.insert(page.users().begin(), page.users().end());
            more = page.more();
            after = page.users().empty() ? "" : page.users().rbegin()->first;
        }

        ASSERT_EQ(found, all);
    }
}

} // namespace

} // namespace websocket::nginx
