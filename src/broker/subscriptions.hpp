// Finds subscriptions by their handles, links them to their logs, and queues
// those with unread entries in their slots.
#pragma once

#include "broker/entries.hpp"
#include "broker/types.hpp"
#include "broker/zone.hpp"

namespace websocket::broker::detail {

// The record of the handle; nullptr: it is gone.
subscription_record *find_subscription(const zone &z,
                                       subscription handle) noexcept;

// Subscribes the slot to entries that are appended from now on. 0: no memory.
index create_subscription(zone &z, std::uint32_t slot, index log, void *owner,
                          std::uint64_t now) noexcept;

// Removes the subscription, its clients, and the entries that only it had yet
// to read.
void remove_subscription(zone &z, index at, std::uint64_t now) noexcept;

void count_clients(zone &z, subscription_record &of,
                   std::uint32_t clients) noexcept;

// Whether the subscription has something to read, be it only a gap.
bool has_unread(const zone &z, const subscription_record &of) noexcept;

// The first entry after the cursor; 0: there is none.
inline index first_unread(const zone &z, const subscription_record &of) noexcept
{
    return earlier_of(z, of.unread_message, of.unread_transient);
}

// The first unread entry of the same kind as `entry`.
inline index &unread_of(const zone &z, subscription_record &of,
                        index entry) noexcept
{
    return z.entry(entry).transient ? of.unread_transient : of.unread_message;
}

// Adds the subscription to its slot's queue, or removes it. Does nothing if it
// is queued, or not queued, already.
void queue_unread(zone &z, index at) noexcept;
void dequeue_unread(zone &z, index at) noexcept;

// Queues all subscriptions of the log for the new entry; 0: for a gap. Returns
// the slots to wake.
slot_set announce(zone &z, index log, index entry) noexcept;

// Advances subscriptions whose first unread message, or transient entry, is
// this one to the next of its kind. True: there were some.
bool advance_readers(zone &z, index entry) noexcept;

} // namespace websocket::broker::detail
