// Follows primary links alone: from buckets to logs, from logs to
// subscriptions, from the oldest entry to the newest, from scopes to members.
// Reads no derived word before it has rebuilt it.
#include "broker/repair.hpp"
#include "broker/blocks.hpp"
#include "broker/entries.hpp"
#include "broker/fault_point.hpp"
#include "broker/log_table.hpp"
#include "broker/members.hpp"
#include "broker/notes.hpp"
#include "broker/subscriptions.hpp"

#include <algorithm>

namespace websocket::broker::detail {

namespace {

// Calls `at_log(index)` for each log.
template <class function>
void each_log(const zone &z, function at_log) noexcept
{
    for (std::uint32_t i = 0; i < z.head->bucket_count; i++) {
        for (index at = z.buckets[i]; at != 0; at = z.log(at).next_in_bucket) {
            at_log(at);
        }
    }
}

void empty_lists(zone &z) noexcept
{
    header &head = *z.head;

    head.newest = 0;
    head.unused_first = 0;
    head.unused_last = 0;
    head.logs = 0;
    head.subscriptions = 0;
    head.entries = 0;

    for (std::uint32_t i = 0; i < head.slot_count; i++) {
        z.slots[i].queue_first = 0;
        z.slots[i].queue_last = 0;
    }
}

void repair_subscription(zone &z, index at) noexcept
{
    subscription_record &found = z.subscription(at);

    mark_chain(z, at);
    found.unread_message = 0;
    found.unread_transient = 0;
    found.queued = 0;
    z.head->subscriptions++;
}

void repair_log(zone &z, index at) noexcept
{
    log_record &log = z.log(at);
    std::uint32_t clients = 0;

    mark_chain(z, at);
    z.head->logs++;

    for (index i = log.subscriptions; i != 0;
         i = z.subscription(i).next_in_log) {
        repair_subscription(z, i);
        clients += z.subscription(i).clients;
    }

    store_ordered(log.clients, clients);
    log.first_message = 0;
    log.last_message = 0;
    log.first_transient = 0;
    log.last_transient = 0;
    log.message_count = 0;
    log.entry_blocks = 0;
    log.unused = 0;
}

void repair_entry(zone &z, index at) noexcept
{
    const entry_record &entry = z.entry(at);
    log_record &log = z.log(entry.log);

    mark_chain(z, at);
    store_ordered(log.last_position,
                  std::max(log.last_position, entry.position));
    store_ordered(log.last_sequence,
                  std::max(log.last_sequence, entry.sequence));
    list_entry(z, at);

    for (index i = log.subscriptions; i != 0;
         i = z.subscription(i).next_in_log) {
        subscription_record &reader = z.subscription(i);
        index &unread = unread_of(z, reader, at);

        if (unread == 0 && reader.cursor < entry.position) {
            unread = at;
        }
    }
}

// Requires all entries: a process that died after its reserved blocks became an
// entry has no reserved ones.
void repair_reserved(zone &z, slot_record &slot) noexcept
{
    if (slot.reserved != 0 && (slot.pid == 0 || marked(z, slot.reserved))) {
        store_ordered(slot.reserved, 0);
    }

    slot.reserved_count = 0;

    for (index at = slot.reserved; at != 0; at = z.next[at]) {
        mark(z, at);
        slot.reserved_count++;
    }
}

// Requires the log's entries.
void relist_log(zone &z, index at) noexcept
{
    const log_record &log = z.log(at);

    if (log.subscriptions == 0 && is_empty(log)) {
        list_as_unused(z, at);
    }

    for (index i = log.subscriptions; i != 0;
         i = z.subscription(i).next_in_log) {
        if (has_unread(z, z.subscription(i))) {
            queue_unread(z, i);
        }
    }
}

} // namespace

void repair(zone &z) noexcept
{
    WEBSOCKET_FAULT_POINT("repair.begun");
    z.head->repairs++;
    empty_lists(z);
    clear_marks(z);
    WEBSOCKET_FAULT_POINT("repair.emptied");
    each_log(z, [&z](index at) { repair_log(z, at); });
    WEBSOCKET_FAULT_POINT("repair.logs");

    for (index at = z.head->oldest; at != 0; at = z.entry(at).newer) {
        repair_entry(z, at);
        WEBSOCKET_FAULT_POINT("repair.entry");
    }

    repair_notes(z);
    WEBSOCKET_FAULT_POINT("repair.notes");
    repair_members(z);
    WEBSOCKET_FAULT_POINT("repair.members");

    for (std::uint32_t i = 0; i < z.head->slot_count; i++) {
        repair_reserved(z, z.slots[i]);
    }

    each_log(z, [&z](index at) { relist_log(z, at); });
    WEBSOCKET_FAULT_POINT("repair.listed");
    free_unmarked(z);
    WEBSOCKET_FAULT_POINT("repair.freed");
}

} // namespace websocket::broker::detail
