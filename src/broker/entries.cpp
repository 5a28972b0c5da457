// All entries are in one list, oldest first, which is the truth; each log's
// own list, and that of its transient ones, are derived from it.
#include "broker/entries.hpp"
#include "broker/blocks.hpp"
#include "broker/fault_point.hpp"
#include "broker/logs.hpp"
#include "broker/subscriptions.hpp"

#include <limits>

namespace websocket::broker::detail {

namespace {

// Takes the entry out of its log's lists. A transient one is the first of
// the log's transient ones: they go in order.
void unlist_entry(zone &z, const entry_record &entry) noexcept
{
    log_record &log = z.log(entry.log);

    (entry.previous_in_log != 0 ? z.entry(entry.previous_in_log).next_in_log
                                : log.first) = entry.next_in_log;
    (entry.next_in_log != 0 ? z.entry(entry.next_in_log).previous_in_log
                            : log.last) = entry.previous_in_log;

    if (!entry.transient) {
        log.message_count--;
        return;
    }

    log.first_transient = entry.next_transient;

    if (log.first_transient == 0) {
        log.last_transient = 0;
    }
}

void remove_entry(zone &z, index at) noexcept
{
    const entry_record &entry = z.entry(at);

    put(entry.older != 0 ? z.entry(entry.older).newer : z.head->oldest,
        entry.newer);
    WEBSOCKET_FAULT_POINT("entry.unlinked");
    (entry.newer != 0 ? z.entry(entry.newer).older : z.head->newest) =
        entry.older;
    z.head->entries--;
    unlist_entry(z, entry);
    WEBSOCKET_FAULT_POINT("entry.unlisted");
    give_back(z, at);
}

// The position that all subscriptions have passed.
std::uint64_t passed_by_all(const zone &z, const log_record &log) noexcept
{
    std::uint64_t passed = std::numeric_limits<std::uint64_t>::max();

    for (index at = log.subscriptions; at != 0;
         at = z.subscription(at).next_in_log) {
        passed = std::min(passed, z.subscription(at).cursor);
    }

    return passed;
}

// The subscriptions that had not read the oldest entry of all will see by
// their cursors that it is missing.
void drop_oldest(zone &z, std::uint64_t now) noexcept
{
    const index oldest = z.head->oldest;
    const index at = z.entry(oldest).log;
    const log_record &log = z.log(at);

    if (skip_entry(z, oldest)) {
        z.head->dropped_unread++;
    } else if (history_wants_first(z, log, now)) {
        z.head->dropped_history++;
    }

    WEBSOCKET_FAULT_POINT("entry.skipped");
    remove_entry(z, oldest);
    settle(z, at, now);
}

} // namespace

void link_entry(zone &z, index at) noexcept
{
    entry_record &entry = z.entry(at);
    log_record &log = z.log(entry.log);

    WEBSOCKET_FAULT_POINT("entry.written");
    put(z.head->newest != 0 ? z.entry(z.head->newest).newer : z.head->oldest,
        at);
    WEBSOCKET_FAULT_POINT("entry.linked");
    put(log.last_position, entry.position);
    WEBSOCKET_FAULT_POINT("entry.positioned");
    put(log.last_sequence, entry.sequence);
    WEBSOCKET_FAULT_POINT("entry.numbered");
    list_entry(z, at);
}

void list_entry(zone &z, index at) noexcept
{
    entry_record &entry = z.entry(at);
    log_record &log = z.log(entry.log);

    entry.older = z.head->newest;
    z.head->newest = at;
    z.head->entries++;

    entry.previous_in_log = log.last;
    entry.next_in_log = 0;
    (log.last != 0 ? z.entry(log.last).next_in_log : log.first) = at;
    WEBSOCKET_FAULT_POINT("entry.listed");
    log.last = at;

    if (!entry.transient) {
        log.message_count++;
        return;
    }

    entry.next_transient = 0;
    (log.last_transient != 0 ? z.entry(log.last_transient).next_transient
                             : log.first_transient) = at;
    log.last_transient = at;
}

bool young_enough(const log_record &log, const entry_record &entry,
                  std::uint64_t now) noexcept
{
    return log.history_milliseconds == 0 || entry.time >= now ||
           now - entry.time <= log.history_milliseconds;
}

bool history_wants_first(const zone &z, const log_record &log,
                         std::uint64_t now) noexcept
{
    const entry_record &first = z.entry(log.first);

    return !first.transient && log.message_count <= log.history_messages &&
           young_enough(log, first, now);
}

std::size_t trim(zone &z, index at, std::uint64_t now,
                 std::size_t budget) noexcept
{
    const log_record &log = z.log(at);
    const std::uint64_t passed = passed_by_all(z, log);
    std::size_t removed = 0;

    for (; removed < budget && log.first_transient != 0 &&
           z.entry(log.first_transient).position <= passed;
         removed++) {
        remove_entry(z, log.first_transient);
    }

    for (; removed < budget && log.first != 0 &&
           z.entry(log.first).position <= passed &&
           !history_wants_first(z, log, now);
         removed++) {
        remove_entry(z, log.first);
    }

    return removed;
}

bool clear(zone &z, index at, std::size_t budget) noexcept
{
    const log_record &log = z.log(at);

    for (; budget > 0 && log.first != 0; budget--) {
        const index first = log.first;

        skip_entry(z, first);
        WEBSOCKET_FAULT_POINT("entry.cleared");
        remove_entry(z, first);
    }

    return log.first == 0;
}

void make_hole(log_record &log) noexcept
{
    put(log.last_hole, log.last_position + 1);
    WEBSOCKET_FAULT_POINT("hole.noted");
    put(log.last_position, log.last_hole);
    WEBSOCKET_FAULT_POINT("hole.made");
}

bool make_room(zone &z, std::size_t blocks, std::uint64_t now) noexcept
{
    if (blocks > z.head->block_count / 2) {
        return false;
    }

    while (z.head->free_count < blocks) {
        if (z.head->unused_first != 0) {
            remove_unused(z);
        } else if (z.head->oldest != 0) {
            drop_oldest(z, now);
        } else {
            return false;
        }
    }

    return true;
}

} // namespace websocket::broker::detail
