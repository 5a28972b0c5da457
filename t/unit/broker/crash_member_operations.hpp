// The operations on members during which a process may die.
#pragma once

#include "crash_scenario.hpp"

#include <array>
#include <functional>

namespace broker_tests {

// An operation during which the victim dies.
struct operation {
    const char *name;
    std::function<void(scenario &)> run;
};

inline operation adding(const char *name, std::string_view scope,
                        std::string_view user)
{
    return {name, [scope, user](scenario &s) {
                s.core.add_member(s.slot_v, scope, user, s.now);
            }};
}

inline operation removing(const char *name, std::string_view scope,
                          std::string_view user, bool linger)
{
    return {name, [scope, user, linger](scenario &s) {
                s.core.remove_member(s.slot_v, scope, user, linger);
            }};
}

inline std::vector<operation> member_operations()
{
    static const std::string long_user(200, 'u');

    return {
        adding("add a member", "scope", "new"),
        adding("add a member of a long name", "scope", long_user),
        adding("add a member to a new scope", "another", "new"),
        {"add a member with a grace",
         [](scenario &s) {
             s.core.add_member(s.slot_v, "another", "new", s.now, 1000);
         }},
        {"return to a member with a grace",
         [](scenario &s) {
             s.core.add_member(s.slot_v, "alone", "one", s.now, 1000);
         }},
        adding("add a client of a member", "scope", "victim's"),
        adding("add a client of another's member", "scope", "stays"),
        adding("add a client to many slots", "scope", "crowd"),
        adding("return to an own member", "scope", "victim waits"),
        adding("return to another's member", "scope", "waits"),
        removing("remove a client of a member", "scope", "victim's", true),
        removing("remove a client of another's member", "scope", "both", true),
        removing("remove a member", "alone", "one", false),
        removing("remove a member that lingers", "alone", "one", true),
        {"end a member",
         [](scenario &s) {
             s.core.end_member(s.slot_v, "scope", "victim waits");
         }},
        {"end a member with an entry",
         [](scenario &s) {
             s.core.end_member(s.slot_v, "scope", "victim waits", "room",
                               transient_of("victim waits"), s.now);
         }},
        {"take a lost member",
         [](scenario &s) {
             std::array<char, max_name_size> scope;
             std::array<char, max_user_size> user;

             s.core.reclaim_dead(s.processes, s.now);
             s.core.take_lost_member(s.slot_v, scope, user);
         }},
        {"return to a lost member",
         [](scenario &s) {
             s.core.reclaim_dead(s.processes, s.now);
             s.core.add_member(s.slot_v, "scope", "old", s.now);
         }},
        {"list members",
         [](scenario &s) {
             std::array<char, 512> names;
             std::array<listed_member, 2> found;

             s.core.list_members("scope", "", {names, found});
         }},
    };
}

} // namespace broker_tests
