// Seats: the clients of a member on each slot. Each seat is a primary word.
#pragma once

#include "broker/members.hpp"

namespace websocket::broker::detail {

// Calls `at_seat(seat &)` for each seat, also for empty ones, until it returns
// false.
template <class function>
void each_seat(const zone &z, index member, function at_seat) noexcept
{
    member_record &record = member_at(z, member);

    for (seat &each : record.seats) {
        if (!at_seat(each)) {
            return;
        }
    }

    for (index at = record.more_seats; at != 0;
         at = z.get<seat_block>(at).next) {
        for (seat &each : z.get<seat_block>(at).seats) {
            if (!at_seat(each)) {
                return;
            }
        }
    }
}

// The seat of the slot; nullptr: there is none.
seat *find_seat(const zone &z, index member, std::uint32_t slot) noexcept;

// An empty seat; nullptr: no memory.
seat *get_empty_seat(zone &z, index member, std::uint64_t now) noexcept;

// The clients on all slots.
std::uint32_t all_clients(const zone &z, index member) noexcept;

// Whether there is another seat than this one.
bool has_other_seat(const zone &z, index member, const seat &than) noexcept;

// Changes the seat, and what is derived from it.
void set_seat(zone &z, index member, seat &which, seat value) noexcept;

// Removes the seats without clients, if there are clients elsewhere.
void end_lingering(zone &z, index member) noexcept;

// Add or take back all that is derived from the seats of a member: the counts
// of its slots, of the scope and of the header, and the list of lost members.
void count_seats(zone &z, index member) noexcept;
void discount_seats(zone &z, index member) noexcept;

// Takes seats of the slot from members, bucket by bucket from `bucket` on.
// Users without another seat are lost. True: the slot has no more seats.
bool lose_members(zone &z, std::uint32_t slot, std::uint32_t &bucket) noexcept;

} // namespace websocket::broker::detail
