// All entries after its cursor are unread for a subscription. That it is
// queued, and where it continues to read, is derived from the cursor.
#include "broker/subscriptions.hpp"
#include "broker/blocks.hpp"
#include "broker/entries.hpp"
#include "broker/fault_point.hpp"
#include "broker/log_table.hpp"

namespace websocket::broker::detail {

namespace {

// The end of a slow subscription can leave many entries to remove. Later
// changes of the log remove the rest.
constexpr std::size_t max_removed_with_subscription = 64;

} // namespace

subscription_record *find_subscription(const zone &z,
                                       subscription handle) noexcept
{
    if (handle.index == 0 || handle.index > z.head->block_count) {
        return nullptr;
    }

    subscription_record &found = z.subscription(handle.index);

    if (found.check != handle.check || found.check == 0 ||
        found.slot >= z.head->slot_count) {
        return nullptr;
    }

    const slot_record &slot = z.slots[found.slot];

    return slot.pid != 0 && slot.generation == found.generation ? &found
                                                                : nullptr;
}

index create_subscription(zone &z, std::uint32_t slot, index log_at,
                          void *owner, std::uint64_t now) noexcept
{
    if (!reclaim_blocks(z, blocks_for(sizeof(subscription_record), 0), now)) {
        return 0;
    }

    const index at = take_blocks(z, 1);
    log_record &log = z.log(log_at);

    store_ordered(z.head->last_check,
                  z.head->last_check + (z.head->last_check + 1 == 0 ? 2 : 1));
    ::new (z.block(at))
        subscription_record{.cursor = log.last_position,
                            .owner = owner,
                            .check = z.head->last_check,
                            .slot = slot,
                            .generation = z.slots[slot].generation,
                            .log = log_at,
                            .next_in_log = log.subscriptions};

    WEBSOCKET_FAULT_POINT("subscription.written");
    store_ordered(log.subscriptions, at);
    WEBSOCKET_FAULT_POINT("subscription.linked");
    z.head->subscriptions++;
    return at;
}

void remove_subscription(zone &z, index at, std::uint64_t now) noexcept
{
    subscription_record &removed = z.subscription(at);
    const index log_at = removed.log;
    log_record &log = z.log(log_at);
    index *link = &log.subscriptions;

    while (*link != at) {
        link = &z.subscription(*link).next_in_log;
    }

    dequeue_unread(z, at);
    WEBSOCKET_FAULT_POINT("subscription.unqueued");
    store_ordered(*link, removed.next_in_log);
    WEBSOCKET_FAULT_POINT("subscription.unlinked");
    store_ordered(removed.check, 0);
    store_ordered(log.clients, log.clients - removed.clients);
    z.head->subscriptions--;
    free_blocks(z, at, 1);

    trim(z, log_at, now, max_removed_with_subscription);
    update_unused_list(z, log_at, now);
}

void count_clients(zone &z, subscription_record &of,
                   std::uint32_t clients) noexcept
{
    log_record &log = z.log(of.log);
    const std::uint32_t all = log.clients - of.clients + clients;

    store_ordered(of.clients, clients);
    WEBSOCKET_FAULT_POINT("subscription.counted");
    store_ordered(log.clients, all);
}

bool has_unread(const zone &z, const subscription_record &of) noexcept
{
    return of.cursor != z.log(of.log).last_position;
}

void queue_unread(zone &z, index at) noexcept
{
    subscription_record &queued = z.subscription(at);
    slot_record &slot = z.slots[queued.slot];

    if (queued.queued != 0) {
        return;
    }

    queued.queued = 1;
    queued.previous_queued = slot.queue_last;
    queued.next_queued = 0;
    WEBSOCKET_FAULT_POINT("unread.prepared");
    (slot.queue_last != 0 ? z.subscription(slot.queue_last).next_queued
                          : slot.queue_first) = at;
    slot.queue_last = at;
}

void dequeue_unread(zone &z, index at) noexcept
{
    subscription_record &queued = z.subscription(at);
    slot_record &slot = z.slots[queued.slot];

    if (queued.queued == 0) {
        return;
    }

    (queued.previous_queued != 0
         ? z.subscription(queued.previous_queued).next_queued
         : slot.queue_first) = queued.next_queued;
    WEBSOCKET_FAULT_POINT("unread.half_out");
    (queued.next_queued != 0
         ? z.subscription(queued.next_queued).previous_queued
         : slot.queue_last) = queued.previous_queued;
    queued.queued = 0;
}

slot_set announce(zone &z, index log, index entry) noexcept
{
    slot_set wake;
    index at = z.log(log).subscriptions;

    for (; at != 0; at = z.subscription(at).next_in_log) {
        subscription_record &reader = z.subscription(at);
        slot_record &slot = z.slots[reader.slot];

        if (entry != 0) {
            index &unread = unread_of(z, reader, entry);

            unread = unread == 0 ? entry : unread;
        }

        queue_unread(z, at);
        WEBSOCKET_FAULT_POINT("unread.queued");

        if (slot.notified == 0) {
            store_ordered(slot.notified, 1);
            wake.set(reader.slot);
        }
    }

    return wake;
}

bool advance_readers(zone &z, index entry) noexcept
{
    const index next = z.entry(entry).next_in_log;
    index at = z.log(z.entry(entry).log).subscriptions;
    bool unread = false;

    for (; at != 0; at = z.subscription(at).next_in_log) {
        index &first = unread_of(z, z.subscription(at), entry);

        if (first == entry) {
            first = next;
            unread = true;
        }
    }

    return unread;
}

} // namespace websocket::broker::detail
