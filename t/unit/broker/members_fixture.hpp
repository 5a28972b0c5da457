// Shortens calls of the broker for members of one scope, "room:a".
#pragma once

#include "broker_fixture.hpp"

#include <array>

namespace broker_tests {

class members_test : public broker_test {
protected:
    members_test() { make(); }

    added_member add(unsigned slot, std::string_view user,
                     std::string_view scope = "room:a")
    {
        return core.add_member(slot, scope, user, now);
    }

    added_member add(unsigned slot, std::string_view user, std::uint32_t grace)
    {
        return core.add_member(slot, "room:a", user, now, grace);
    }

    removed_member remove(unsigned slot, std::string_view user,
                          bool linger = false)
    {
        return core.remove_member(slot, "room:a", user, linger);
    }

    bool end(unsigned slot, std::string_view user)
    {
        return core.end_member(slot, "room:a", user);
    }

    ended_member end_with_entry(unsigned slot, std::string_view user)
    {
        return core.end_member(slot, "room:a", user, "room", transient_of(user),
                               now);
    }

    // "scope user"; empty: there is none.
    std::string take(unsigned slot)
    {
        std::array<char, max_name_size> scope;
        std::array<char, max_user_size> user;
        const auto lost = core.take_lost_member(slot, scope, user);

        return lost ? std::string(lost->scope) + ' ' + std::string(lost->user)
                    : "";
    }

    std::string page(std::string_view after, std::size_t members,
                     std::size_t bytes = 4 * max_user_size,
                     std::string_view scope = "room:a")
    {
        std::vector<listed_member> found(members);
        std::vector<char> buffer(bytes);
        const listed_members listed =
            core.list_members(scope, after, {buffer, found});
        std::string text;

        for (const listed_member &each : std::span(found).first(listed.count)) {
            text += std::string(each.user) + '=' +
                    std::to_string(each.clients) + ' ';
        }

        return text + (listed.more ? "..." : "");
    }

    static std::string numbered(int number)
    {
        const std::string digits = std::to_string(number);

        return "user " + std::string(6 - digits.size(), '0') + digits;
    }
};

} // namespace broker_tests
