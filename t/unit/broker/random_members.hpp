// The members of a process in a random run.
#pragma once

#include "broker_fixture.hpp"

#include <array>
#include <optional>
#include <random>

namespace broker_tests {

// Adds and removes members of one slot, and checks what the broker reports of
// them. Each function returns a fault, or an empty text.
class random_members {
public:
    random_members(broker &core, std::mt19937_64 &random)
        : core_{core}, random_{random}
    {}

    std::string act(unsigned slot, std::uint64_t now)
    {
        const member_key key{std::to_string(random_() % 3), any_user()};

        switch (random_() % 8) {
        case 0:
        case 1:
        case 2:
            return add(slot, key, now);
        case 3:
        case 4:
            return remove(slot, key);
        case 5:
            return end(slot);
        case 6:
            return take(slot);
        default:
            return random_() % 2 == 0 ? count(slot, key) : list(key.first);
        }
    }

private:
    using member_key = std::pair<std::string, std::string>; // scope and user

    std::string any_user()
    {
        const std::size_t number = random_() % 30;

        return std::string(number * 5, 'u') + std::to_string(number);
    }

    // Of one of the scopes
    std::optional<std::uint32_t> any_grace(const std::string &scope)
    {
        return scope == "0" ? std::optional(random_() % 9) : std::nullopt;
    }

    std::string add(unsigned slot, const member_key &key, std::uint64_t now)
    {
        const added_member added = core_.add_member(slot, key.first, key.second,
                                                    now, any_grace(key.first));

        if (added.result == outcome::no_memory) {
            return {};
        }
        if (added.result != outcome::done) {
            return "a member was refused";
        }
        if (added.was_absent && added.clients != 1) {
            return "a member with clients was absent";
        }
        lingering_.erase(key);
        return ++counts_[key] <= added.clients ? ""
                                               : "a member has too few clients";
    }

    std::string remove(unsigned slot, const member_key &key)
    {
        const bool linger = random_() % 2 == 0;
        const removed_member removed =
            core_.remove_member(slot, key.first, key.second, linger);

        if (counts_[key] == 0) {
            return removed.result == outcome::gone
                       ? ""
                       : "a member of another process was removed";
        }
        if (removed.result != outcome::done ||
            removed.clients < --counts_[key]) {
            return "a member is missing";
        }
        if (removed.clients == 0 && (linger || removed.grace)) {
            lingering_.insert(key);
        }
        return {};
    }

    // Others may have ended the lingering, but never created it.
    std::string end(unsigned slot)
    {
        if (lingering_.empty()) {
            return {};
        }

        const member_key key = *lingering_.begin();

        lingering_.erase(key);
        if (random_() % 2 == 0) {
            core_.end_member(slot, key.first, key.second, "no log",
                             transient_of(key.second), 0);
        }
        static_cast<void>(core_.end_member(slot, key.first, key.second));
        return core_.end_member(slot, key.first, key.second)
                   ? "a member has ended twice"
                   : "";
    }

    std::string take(unsigned slot)
    {
        std::array<char, max_name_size> scope;
        std::array<char, max_user_size> user;
        const auto lost = core_.take_lost_member(slot, scope, user);

        if (!lost) {
            return {};
        }

        const member_key key{lost->scope, lost->user};

        lingering_.insert(key);
        return counts_[key] == 0 ? "" : "a member with clients was lost";
    }

    std::string count(unsigned slot, const member_key &key)
    {
        const counted_member counted =
            core_.count_member(key.first, key.second);
        const std::uint32_t here = counts_[key];

        if (counted.clients < here || counted.slots.test(slot) != (here != 0)) {
            return "a member is counted wrong";
        }
        return counted.lingers && counted.clients != 0
                   ? "a member with clients lingers"
                   : "";
    }

    std::string list(const std::string &scope)
    {
        std::array<char, 8 * max_user_size> names;
        std::array<listed_member, 40> found;
        const listed_members listed =
            core_.list_members(scope, "", {names, found});
        std::map<std::string, std::uint32_t> seen;
        std::string last;

        for (const listed_member &each : std::span(found).first(listed.count)) {
            if (each.user <= last) {
                return "a list of members is wrong";
            }
            last = each.user;
            seen[last] = each.clients;
        }
        for (const auto &[key, count] : counts_) {
            if (key.first == scope && (!listed.more || key.second <= last) &&
                count > seen[key.second]) {
                return "a list lacks a member";
            }
        }
        return {};
    }

    broker &core_;
    std::mt19937_64 &random_;
    std::map<member_key, std::uint32_t> counts_;
    std::set<member_key> lingering_;
};

// Ends what dead processes have left. Their slots must be reclaimed.
inline void end_all_members(broker &core, unsigned slot)
{
    std::array<char, max_name_size> scope;
    std::array<char, max_user_size> user;

    EXPECT_EQ(core.measure().members, 0);
    while (const auto lost = core.take_lost_member(slot, scope, user)) {
        EXPECT_TRUE(core.end_member(slot, lost->scope, lost->user));
    }
}

} // namespace broker_tests
