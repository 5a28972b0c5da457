// The subscriptions: found by their handle, linked to their log, and queued in
// their slot when there is something to read.
#pragma once

#include "broker/entries.hpp"
#include "broker/types.hpp"
#include "broker/zone.hpp"

namespace websocket::broker::detail {

// The record that the handle names; nullptr: it is gone.
subscription_record *find_subscription(const zone &z,
                                       subscription handle) noexcept;

// Subscribes the slot to what is appended to the log from now on. 0: there is
// no room for it.
index create_subscription(zone &z, std::uint32_t slot, index log, void *owner,
                          std::uint64_t now) noexcept;

// Removes it, its clients, and what only it had yet to read.
void remove_subscription(zone &z, index at, std::uint64_t now) noexcept;

void count_clients(zone &z, subscription_record &of,
                   std::uint32_t clients) noexcept;

// Whether there is something to read, if only that something was lost.
bool has_unread(const zone &z, const subscription_record &of) noexcept;

// The first entry after its cursor; 0: there is none.
inline index first_unread(const zone &z, const subscription_record &of) noexcept
{
    return earlier_of(z, of.unread_message, of.unread_transient);
}

// The first unread entry of the kind that `entry` is.
inline index &unread_of(const zone &z, subscription_record &of,
                        index entry) noexcept
{
    return z.entry(entry).transient ? of.unread_transient : of.unread_message;
}

// Puts it into its slot's list of news or takes it out; nothing happens if it
// is there, or is not.
void queue_unread(zone &z, index at) noexcept;
void dequeue_unread(zone &z, index at) noexcept;

// Makes the new entry of the log news for all who are subscribed to it; 0: no
// entry, but that something was lost. Returns the slots that are to be woken.
slot_set announce(zone &z, index log, index entry) noexcept;

// Leads those who have yet to read the log's first message, or its first
// transient entry, to the next one of the kind. True: there are some.
bool advance_readers(zone &z, index entry) noexcept;

} // namespace websocket::broker::detail
