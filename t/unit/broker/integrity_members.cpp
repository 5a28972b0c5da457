// Checks scopes, members, and what is derived from them.
#include "integrity_checker.hpp"

#include "broker/blocks.hpp"
#include "broker/seats.hpp"

#include <array>
#include <span>
#include <string_view>

namespace websocket::broker::detail {

std::string_view integrity_checker::check_members() noexcept
{
    for (std::uint32_t i = 0; i < z_.head->bucket_count; i++) {
        for (index at = z_.scope_buckets[i]; at != 0;
             at = scope_at(z_, at).next_in_bucket) {
            if (const std::string_view fault = check_scope(at, i);
                !fault.empty()) {
                return fault;
            }
        }
    }

    for (std::uint32_t i = 0; i < z_.head->slot_count; i++) {
        if (z_.slots[i].seats != found_.seats[i]) {
            return "the members of a slot are counted wrong";
        }
    }

    if (z_.head->member_blocks != found_.member_blocks ||
        z_.head->members != found_.members) {
        return "the members or their blocks are counted wrong";
    }

    return check_lost();
}

std::string_view integrity_checker::check_scope(index at,
                                                std::uint32_t bucket) noexcept
{
    if (at > z_.head->block_count) {
        return "a linked scope is not a block";
    }

    const scope_record &scope = scope_at(z_, at);
    const std::size_t blocks =
        blocks_for(sizeof(scope_record), scope.name_size);
    std::array<char, max_name_size> buffer;

    if (scope.name_size > max_name_size || !take_chain(at, blocks)) {
        return "a scope's chain of blocks is wrong";
    }

    const scope_name name(z_, copy_scope(z_, at, buffer));

    if (static_cast<std::uint32_t>(name.hash) != scope.hash ||
        &z_.scope_bucket_of(scope.hash) != &z_.scope_buckets[bucket]) {
        return "a scope is in the wrong bucket";
    }

    if (find_scope(z_, name) != at) {
        return "two scopes have the same name";
    }

    if (scope.first[0] == 0) {
        return "a scope has no members";
    }

    found_.member_blocks += static_cast<index>(blocks);
    found_.scope = {};

    index last = 0;

    for (index i = scope.first[0]; i != 0; i = member_at(z_, i).next) {
        if (const std::string_view fault = check_member(i, at);
            !fault.empty()) {
            return fault;
        }

        std::array<char, max_user_size> one;
        std::array<char, max_user_size> other;

        if (last != 0 && copy_user(z_, last, one) >= copy_user(z_, i, other)) {
            return "members are not in order";
        }

        last = i;
    }

    if (found_.scope.users != scope.users ||
        found_.scope.members != scope.members ||
        found_.scope.clients != scope.clients) {
        return "the users of a scope are counted wrong";
    }

    return check_levels(at);
}

std::string_view integrity_checker::check_member(index at, index scope) noexcept
{
    if (at > z_.head->block_count) {
        return "a linked member is not a block";
    }

    const member_record &member = member_at(z_, at);
    const std::size_t blocks =
        blocks_for(user_offset(member), member.user_size);
    std::array<char, max_name_size> scope_buffer;
    std::array<char, max_user_size> buffer;

    if (member.user_size > max_user_size || member.user_size == 0 ||
        member.levels == 0 || member.levels > max_levels ||
        !take_chain(at, blocks)) {
        return "a member's chain of blocks is wrong";
    }

    const member_name name(z_, copy_scope(z_, scope, scope_buffer),
                           copy_user(z_, at, buffer));

    if (member.scope != scope || find_member(z_, name) != at) {
        return "a member is not found by its name";
    }

    found_.member_blocks += static_cast<index>(blocks);
    return check_seats(at);
}

std::string_view integrity_checker::check_seats(index at) noexcept
{
    std::string_view fault;
    std::size_t seats = 0;
    bool lost = false;

    for (index i = member_at(z_, at).more_seats; i != 0;
         i = z_.get<seat_block>(i).next) {
        if (!take_chain(i, 1)) {
            return "a block of seats is wrong";
        }
        found_.member_blocks++;
    }

    each_seat(z_, at, [&](const seat &each) {
        const std::uint32_t slot = seat_slot(each);

        if (each == 0) {
            return true;
        }
        seats++;
        if (slot == lost_slot && seat_clients(each) == 0) {
            lost = true;
        } else if (slot >= z_.head->slot_count || z_.slots[slot].pid == 0) {
            fault = "a member has a seat of no process";
        } else {
            found_.seats[slot]++;
        }
        if (find_seat(z_, at, slot) != &each) {
            fault = "a member has two seats of one slot";
        }
        return true;
    });

    if (seats == 0) {
        fault = "a member has no seat";
    }

    const std::uint32_t clients = all_clients(z_, at);
    const bool present = clients != 0;

    found_.scope.users += present ? 1 : 0;
    found_.scope.members++;
    found_.scope.clients += clients;
    found_.members += present ? 1 : 0;
    found_.lost += lost && !present ? 1 : 0;
    return fault;
}

// Each level has the members that have so many levels, in the order of level 0.
std::string_view integrity_checker::check_levels(index scope) noexcept
{
    for (std::size_t level = 1; level < max_levels; level++) {
        index expected = scope_at(z_, scope).first[level];

        for (index at = scope_at(z_, scope).first[0]; at != 0;
             at = member_at(z_, at).next) {
            if (member_at(z_, at).levels <= level) {
                continue;
            }
            if (at != expected) {
                return "a higher level of members is wrong";
            }
            expected = levels_of(z_, at)[level];
        }

        if (expected != 0) {
            return "a higher level of members does not end";
        }
    }

    return {};
}

std::string_view integrity_checker::check_lost() noexcept
{
    index previous = 0;
    std::uint32_t listed = 0;

    for (index at = z_.head->lost_first; at != 0;
         at = member_at(z_, at).next_lost) {
        if (!known(at) || listed++ == found_.lost ||
            member_at(z_, at).previous_lost != previous ||
            find_seat(z_, at, lost_slot) == nullptr) {
            return "the list of lost members is wrong";
        }
        previous = at;
    }

    if (listed != found_.lost || z_.head->lost_last != previous) {
        return "the list of lost members ends wrongly";
    }

    return {};
}

} // namespace websocket::broker::detail
