// Changes seats. A seat is changed by one store; everything derived is taken
// back before, and counted again after it.
#include "broker/seats.hpp"
#include "broker/fault_point.hpp"

namespace websocket::broker::detail {

namespace {

void list_lost(zone &z, index at) noexcept
{
    member_record &member = member_at(z, at);
    header &head = *z.head;

    member.previous_lost = head.lost_last;
    member.next_lost = 0;
    store_ordered(head.lost_last != 0 ? member_at(z, head.lost_last).next_lost
                                      : head.lost_first,
                  at);
    head.lost_last = at;
}

void unlist_lost(zone &z, index at) noexcept
{
    const member_record &member = member_at(z, at);

    store_ordered(member.previous_lost != 0
                      ? member_at(z, member.previous_lost).next_lost
                      : z.head->lost_first,
                  member.next_lost);
    (member.next_lost != 0 ? member_at(z, member.next_lost).previous_lost
                           : z.head->lost_last) = member.previous_lost;
}

// Calls `add(count, by)` for each count that the member is part of. Returns
// whether it is in the list of lost ones.
template <class function>
bool each_count(zone &z, index at, function add) noexcept
{
    scope_record &scope = scope_at(z, member_at(z, at).scope);
    std::uint32_t clients = 0;
    bool lost = false;

    each_seat(z, at, [&](seat which) {
        if (which != 0 && seat_slot(which) == lost_slot) {
            lost = true;
        } else if (which != 0) {
            add(z.slots[seat_slot(which)].seats, 1);
            clients += seat_clients(which);
        }
        return true;
    });

    add(scope.members, 1);
    add(scope.clients, clients);

    if (clients != 0) {
        add(z.head->members, 1);
        add(scope.users, 1);
    }

    return lost && clients == 0;
}

} // namespace

seat *find_seat(const zone &z, index member, std::uint32_t slot) noexcept
{
    seat *found = nullptr;

    each_seat(z, member, [&](seat &each) {
        if (each != 0 && seat_slot(each) == slot) {
            found = &each;
        }
        return found == nullptr;
    });

    return found;
}

seat *get_empty_seat(zone &z, index member, std::uint64_t now) noexcept
{
    seat *found = nullptr;

    each_seat(z, member, [&found](seat &each) {
        found = each == 0 ? &each : nullptr;
        return found == nullptr;
    });

    if (found != nullptr || !reserve_members(z, 1, now)) {
        return found;
    }

    member_record &record = member_at(z, member);
    const index at = take_blocks(z, 1);
    auto *added =
        ::new (z.block(at)) seat_block{.seats = {}, .next = record.more_seats};

    WEBSOCKET_FAULT_POINT("member.seats");
    store_ordered(record.more_seats, at);
    z.head->member_blocks++;
    return added->seats.data();
}

std::uint32_t all_clients(const zone &z, index member) noexcept
{
    std::uint32_t all = 0;

    each_seat(z, member, [&all](seat each) {
        all += seat_clients(each);
        return true;
    });

    return all;
}

bool has_other_seat(const zone &z, index member, const seat &than) noexcept
{
    bool found = false;

    each_seat(z, member, [&](const seat &each) {
        found = each != 0 && &each != &than;
        return !found;
    });

    return found;
}

void set_seat(zone &z, index member, seat &which, seat value) noexcept
{
    discount_seats(z, member);
    WEBSOCKET_FAULT_POINT("member.discounted");
    store_ordered(which, value);
    WEBSOCKET_FAULT_POINT("member.seated");
    count_seats(z, member);
}

void end_lingering(zone &z, index member) noexcept
{
    each_seat(z, member, [&z, member](seat &each) {
        if (each != 0 && seat_clients(each) == 0) {
            set_seat(z, member, each, 0);
        }
        return true;
    });
}

void count_seats(zone &z, index member) noexcept
{
    if (each_count(z, member, [](std::uint32_t &count, std::uint32_t by) {
            count += by;
        })) {
        list_lost(z, member);
    }
}

void discount_seats(zone &z, index member) noexcept
{
    if (each_count(z, member, [](std::uint32_t &count, std::uint32_t by) {
            count -= by;
        })) {
        unlist_lost(z, member);
    }
}

bool lose_members(zone &z, std::uint32_t slot, std::uint32_t &bucket) noexcept
{
    std::size_t budget = z.hold.blocks;

    while (z.slots[slot].seats != 0 && bucket != z.head->bucket_count) {
        if (budget == 0) {
            return false;
        }

        for (index at = z.member_buckets[bucket]; at != 0;
             at = member_at(z, at).next_in_bucket) {
            if (seat *taken = find_seat(z, at, slot); taken != nullptr) {
                set_seat(z, at, *taken,
                         has_other_seat(z, at, *taken) ? 0
                                                       : seat_of(lost_slot, 0));
            }

            budget -= budget > 1 ? 1 : 0;
        }

        budget--;
        bucket++;
    }

    return true;
}

} // namespace websocket::broker::detail
