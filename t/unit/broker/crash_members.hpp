// The members of a broker of several processes, and the checks after the death
// of one of them.
#pragma once

#include "broker_fixture.hpp"

#include <array>
#include <optional>

namespace broker_tests {

// Members of three slots: of the survivor, the victim, and one that is long
// gone.
class crash_members {
public:
    crash_members(broker &core, std::uint64_t now) : core_{core}, now_{now} {}

    void add_all(unsigned s, unsigned v, unsigned g)
    {
        add(s, "stays");
        add(s, "stays");
        add(v, "victim's");
        add(v, "victim's");
        add(v, std::string(200, '2'));
        add(g, "old");
        for (const unsigned slot : {s, v}) {
            add(slot, "both");
        }
        for (const unsigned slot : {s, g}) {
            add(slot, "crowd");
        }
        for (const unsigned slot : {s, v}) {
            const std::string user = slot == s ? "waits" : "victim waits";
            add(slot, user);
            core_.remove_member(slot, "scope", user, true);
        }
        EXPECT_TRUE(core_.add_member(v, "alone", "one", now_).was_absent);
    }

    // Requires that the slots of the dead are reclaimed. Each user without a
    // client is found once.
    void check(unsigned s)
    {
        const std::set<std::string> taken = take_all(s);

        EXPECT_TRUE(taken.contains("old"));
        EXPECT_TRUE(taken.contains(std::string(200, '2')));
        EXPECT_NE(core_.end_member(s, "scope", "waits"),
                  taken.contains("waits"));
        for (const char *user : {"old", "victim's", "victim waits", "waits"}) {
            EXPECT_EQ(core_.count_member("scope", user).clients, 0) << user;
            EXPECT_FALSE(core_.count_member("scope", user).lingers) << user;
        }
        EXPECT_EQ(core_.count_users("scope"), 3);
        EXPECT_EQ(list("scope"), "both=1 crowd=1 stays=2 ");
        EXPECT_EQ(list("alone"), "");
        EXPECT_EQ(list("another"), "");
        EXPECT_EQ(core_.measure().members, 3);
        EXPECT_EQ(core_.count_member("scope", "both").slots.to_ullong(),
                  1ULL << s);
    }

    void remove_all(unsigned s)
    {
        EXPECT_EQ(core_.add_member(s, "scope", "stays", now_).clients, 3);
        for (const char *user : {"both", "crowd", "stays", "stays", "stays"}) {
            EXPECT_EQ(core_.remove_member(s, "scope", user, false).result,
                      outcome::done);
        }
        EXPECT_EQ(core_.measure().members, 0);
    }

private:
    void add(unsigned slot, std::string_view user)
    {
        EXPECT_EQ(core_.add_member(slot, "scope", user, now_).result,
                  outcome::done);
    }

    std::set<std::string> take_all(unsigned slot)
    {
        std::array<char, max_name_size> scope;
        std::array<char, max_user_size> user;
        std::set<std::string> taken;

        while (const auto lost = core_.take_lost_member(slot, scope, user)) {
            EXPECT_TRUE(taken.insert(std::string(lost->user)).second);
            EXPECT_TRUE(core_.end_member(slot, lost->scope, lost->user));
            EXPECT_FALSE(core_.end_member(slot, lost->scope, lost->user));
        }

        return taken;
    }

    std::string list(std::string_view scope)
    {
        std::array<listed_member, 9> found;
        std::array<char, 9 * max_user_size> names;
        const listed_members listed =
            core_.list_members(scope, "", {names, found});
        std::string text;

        for (const listed_member &each : std::span(found).first(listed.count)) {
            text += std::string(each.user) + '=' +
                    std::to_string(each.clients) + ' ';
        }

        return text;
    }

    broker &core_;
    std::uint64_t now_;
};

} // namespace broker_tests
