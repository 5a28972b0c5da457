// Members: counts the clients of users.
#include "broker/append.hpp"
#include "broker/broker.hpp"
#include "broker/fault_point.hpp"
#include "broker/lock_guard.hpp"
#include "broker/log_table.hpp"
#include "broker/members.hpp"
#include "broker/seats.hpp"

#include <algorithm>

namespace websocket::broker {

using namespace detail;

namespace {

bool is_claimed(const zone &z, unsigned slot) noexcept
{
    return slot < z.head->slot_count && z.slots[slot].pid != 0;
}

bool is_valid(std::string_view scope, std::string_view user) noexcept
{
    return scope.size() <= max_name_size && !user.empty() &&
           user.size() <= max_user_size;
}

// One more client of a user who has a seat, perhaps of another slot.
added_member add_client(zone &z, index at, std::uint32_t slot,
                        std::uint64_t now) noexcept
{
    seat *own = find_seat(z, at, slot);

    if (own == nullptr) {
        own = get_empty_seat(z, at, now);
    }

    if (own == nullptr) {
        return {.result = outcome::no_memory};
    }

    set_seat(z, at, *own, seat_of(slot, seat_clients(*own) + 1));
    end_lingering(z, at);
    return {outcome::done, all_clients(z, at), false};
}

void keep_grace(zone &z, index scope,
                std::optional<std::uint32_t> grace) noexcept
{
    scope_record &record = scope_at(z, scope);

    if (grace && *grace >= record.linger) {
        store_ordered(record.linger, std::min(*grace, UINT32_MAX - 1) + 1);
    }
}

// A member that lingers on the slot and nowhere else; 0: there is none. If the
// user lingers elsewhere too, this slot has no part in it any more.
index find_lingering(zone &z, const member_name &name,
                     std::uint32_t slot) noexcept
{
    const index at = is_claimed(z, slot) ? find_member(z, name) : index{0};
    seat *own = at != 0 ? find_seat(z, at, slot) : nullptr;

    if (own == nullptr || seat_clients(*own) != 0) {
        return 0;
    }

    if (has_other_seat(z, at, *own)) {
        set_seat(z, at, *own, 0);
        return 0;
    }

    return at;
}

} // namespace

added_member broker::add_member(unsigned slot, std::string_view scope,
                                std::string_view user, std::uint64_t now,
                                std::optional<std::uint32_t> grace) noexcept
{
    if (!is_valid(scope, user)) {
        return {.result = outcome::name_too_long};
    }

    const member_name name(zone_, scope, user);
    locked_zone hold(mutex_, zone_);

    if (!is_claimed(zone_, slot)) {
        return {};
    }

    if (const index at = find_member(zone_, name); at != 0) {
        keep_grace(zone_, member_at(zone_, at).scope, grace);
        return add_client(zone_, at, slot, now);
    }

    const index created = create_member(zone_, name, slot, now);

    if (created == 0) {
        return {.result = outcome::no_memory};
    }

    keep_grace(zone_, member_at(zone_, created).scope, grace);
    return {outcome::done, 1, true};
}

removed_member broker::remove_member(unsigned slot, std::string_view scope,
                                     std::string_view user,
                                     bool linger) noexcept
{
    const member_name name(zone_, scope, user);
    locked_zone hold(mutex_, zone_);
    const index at = find_member(zone_, name);
    seat *own = at != 0 ? find_seat(zone_, at, slot) : nullptr;

    if (own == nullptr || seat_clients(*own) == 0) {
        return {};
    }

    const std::uint32_t here = seat_clients(*own) - 1;
    const std::uint32_t left = all_clients(zone_, at) - 1;

    const auto grace =
        left == 0 ? grace_of(zone_, member_at(zone_, at).scope) : std::nullopt;

    if (left == 0 && !linger && !grace) {
        free_member(zone_, at, name);
    } else {
        set_seat(zone_, at, *own,
                 here == 0 && left != 0 ? 0 : seat_of(slot, here));
    }

    return {outcome::done, left, grace};
}

bool broker::end_member(unsigned slot, std::string_view scope,
                        std::string_view user) noexcept
{
    const member_name name(zone_, scope, user);
    locked_zone hold(mutex_, zone_);
    const index at = find_lingering(zone_, name, slot);

    if (at == 0) {
        return false;
    }

    free_member(zone_, at, name);
    return true;
}

// The entry precedes the end: if the process is killed in between, the user is
// lost, but not without an entry.
ended_member broker::end_member(unsigned slot, std::string_view scope,
                                std::string_view user, std::string_view log,
                                const publication &what,
                                std::uint64_t now) noexcept
{
    const member_name name(zone_, scope, user);
    const detail::log_name wanted(zone_, log);
    append_operation work(zone_, what, now);
    bool ended = false;

    append_result appended = run_append(mutex_, zone_, work, [&] {
        const index at = find_lingering(zone_, name, slot);
        const index to = at != 0 ? find_log(zone_, wanted) : index{0};

        if (to != 0 && !work.step(to)) {
            return false;
        }

        ended = at != 0 && work.result.result != outcome::no_memory;

        if (ended) {
            WEBSOCKET_FAULT_POINT("member.announced");
            free_member(zone_, at, name);
        }
        return true;
    });

    return {ended, appended};
}

std::optional<lost_member>
broker::take_lost_member(unsigned slot, std::span<char, max_name_size> scope,
                         std::span<char, max_user_size> user) noexcept
{
    if (load_relaxed(zone_.head->lost_first) == 0) {
        return {};
    }

    locked_zone hold(mutex_, zone_);
    const index at = zone_.head->lost_first;

    if (at == 0 || !is_claimed(zone_, slot)) {
        return {};
    }

    seat *own = find_seat(zone_, at, slot);
    seat &lost = *find_seat(zone_, at, lost_slot);

    set_seat(zone_, at, lost, own != nullptr ? 0 : seat_of(slot, 0));

    const index of = member_at(zone_, at).scope;

    return lost_member{copy_scope(zone_, of, scope), copy_user(zone_, at, user),
                       grace_of(zone_, of)};
}

counted_member broker::count_member(std::string_view scope,
                                    std::string_view user) noexcept
{
    const member_name name(zone_, scope, user);
    locked_zone hold(mutex_, zone_);
    const index at = find_member(zone_, name);
    counted_member found;

    if (at == 0) {
        return found;
    }

    each_seat(zone_, at, [&found](seat each) {
        if (seat_clients(each) != 0) {
            found.clients += seat_clients(each);
            found.slots.set(seat_slot(each));
        }
        return true;
    });
    found.lingers = found.clients == 0;
    return found;
}

} // namespace websocket::broker
