// Members: counts the clients of users.
#include "broker/broker.hpp"
#include "broker/lock_guard.hpp"
#include "broker/members.hpp"
#include "broker/seats.hpp"

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

} // namespace

added_member broker::add_member(unsigned slot, std::string_view scope,
                                std::string_view user,
                                std::uint64_t now) noexcept
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
        return add_client(zone_, at, slot, now);
    }

    if (create_member(zone_, name, slot, now) == 0) {
        return {.result = outcome::no_memory};
    }

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

    if (left == 0 && !linger) {
        free_member(zone_, at, name);
    } else {
        set_seat(zone_, at, *own,
                 here == 0 && left != 0 ? 0 : seat_of(slot, here));
    }

    return {outcome::done, left};
}

bool broker::end_member(unsigned slot, std::string_view scope,
                        std::string_view user) noexcept
{
    const member_name name(zone_, scope, user);
    locked_zone hold(mutex_, zone_);
    const index at =
        is_claimed(zone_, slot) ? find_member(zone_, name) : index{0};
    seat *own = at != 0 ? find_seat(zone_, at, slot) : nullptr;

    if (own == nullptr || seat_clients(*own) != 0) {
        return false;
    }

    if (has_other_seat(zone_, at, *own)) {
        set_seat(zone_, at, *own, 0);
        return false;
    }

    free_member(zone_, at, name);
    return true;
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
    return lost_member{copy_scope(zone_, member_at(zone_, at).scope, scope),
                       copy_user(zone_, at, user)};
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
