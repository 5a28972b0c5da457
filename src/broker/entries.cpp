// The list of all entries, oldest first, is primary. The lists of each log, of
// messages and of transient entries, are derived from it.
#include "broker/entries.hpp"
#include "broker/blocks.hpp"
#include "broker/fault_point.hpp"
#include "broker/log_table.hpp"
#include "broker/subscriptions.hpp"

#include <algorithm>
#include <bit>
#include <limits>

namespace websocket::broker::detail {

namespace {

index blocks_of(const entry_record &entry) noexcept
{
    return static_cast<index>(blocks_for(sizeof(entry_record), entry.size));
}

// Removes the entry from its log's list. It must be the first: both lists are
// removed from in order.
void unlist_entry(zone &z, const entry_record &entry) noexcept
{
    log_record &log = z.log(entry.log);
    const index next = entry.next_in_log;

    log.entry_blocks -= blocks_of(entry);

    if (entry.transient) {
        log.first_transient = next;
        log.last_transient = next != 0 ? log.last_transient : 0;
        return;
    }

    log.message_count--;
    log.first_message = next;
    (next != 0 ? z.entry(next).previous_message : log.last_message) = 0;
}

// The value of earlier_message for an entry that is about to be listed.
index find_earlier(const zone &z, const entry_record &entry) noexcept
{
    const log_record &log = z.log(entry.log);
    const index last = log.last_message;

    if (last == 0 || z.entry(last).sequence + 1 != entry.sequence) {
        return 0;
    }

    const std::uint64_t earlier = earlier_sequence(entry.sequence);

    if (earlier + 1 == entry.sequence) {
        return last;
    }

    // It is removed, unless messages are missing in the log. In that case
    // earlier_message of the last one does not reach over the gap.
    if (earlier + log.message_count < entry.sequence) {
        return 0;
    }

    const index between = z.entry(last).earlier_message;

    return between != 0 ? z.entry(between).earlier_message : 0;
}

void remove_entry(zone &z, index at) noexcept
{
    const entry_record &entry = z.entry(at);

    store_ordered(entry.older != 0 ? z.entry(entry.older).newer
                                   : z.head->oldest,
                  entry.newer);
    WEBSOCKET_FAULT_POINT("entry.unlinked");
    (entry.newer != 0 ? z.entry(entry.newer).older : z.head->newest) =
        entry.older;
    z.head->entries--;
    unlist_entry(z, entry);
    WEBSOCKET_FAULT_POINT("entry.unlisted");
    free_blocks(z, at, blocks_of(entry));
}

// The lowest cursor of all subscriptions.
std::uint64_t min_cursor(const zone &z, const log_record &log) noexcept
{
    std::uint64_t passed = std::numeric_limits<std::uint64_t>::max();

    for (index at = log.subscriptions; at != 0;
         at = z.subscription(at).next_in_log) {
        passed = std::min(passed, z.subscription(at).cursor);
    }

    return passed;
}

enum class loss { none, history, unread };

// Removes the oldest entry of its log, read or not, and returns whether it was
// unread or in the history. Subscriptions that had not read it see the gap by
// their cursors.
loss drop_entry(zone &z, index at, std::uint64_t now) noexcept
{
    const entry_record &entry = z.entry(at);
    loss lost = loss::none;

    if (advance_readers(z, at)) {
        lost = loss::unread;
    } else if (!entry.transient &&
               is_first_in_history(z, z.log(entry.log), now)) {
        lost = loss::history;
    }

    WEBSOCKET_FAULT_POINT("entry.skipped");
    remove_entry(z, at);
    return lost;
}

void drop_oldest(zone &z, std::uint64_t now) noexcept
{
    const index log = z.entry(z.head->oldest).log;
    const loss lost = drop_entry(z, z.head->oldest, now);

    z.head->dropped_unread += lost == loss::unread ? 1 : 0;
    z.head->dropped_history += lost == loss::history ? 1 : 0;
    update_unused_list(z, log, now);
}

// True: it was unread or in the history.
bool drop_first(zone &z, const log_record &log, std::uint64_t now) noexcept
{
    const index first = earlier_of(z, log.first_message, log.first_transient);
    const bool wanted = drop_entry(z, first, now) != loss::none;

    z.head->dropped_over_limit += wanted ? 1 : 0;
    WEBSOCKET_FAULT_POINT("entry.over_limit");
    return wanted;
}

// Whether the log would exceed its limit with so many more blocks.
bool over_limit(const zone &z, const log_record &log,
                std::size_t blocks) noexcept
{
    const index limit = load_relaxed(z.head->max_log_blocks);

    return limit != 0 && !log.unlimited && !is_empty(log) &&
           log.entry_blocks + blocks > limit;
}

reclaim_result reclaim_blocks(zone &z, std::size_t blocks, std::uint64_t now,
                              std::size_t &budget) noexcept
{
    for (; z.head->free_count < blocks; budget--) {
        if (budget == 0) {
            return reclaim_result::again;
        }

        if (z.head->unused_first != 0) {
            remove_unused(z);
        } else if (z.head->oldest != 0) {
            drop_oldest(z, now);
        } else {
            return reclaim_result::impossible;
        }
    }

    return reclaim_result::done;
}

} // namespace

void link_entry(zone &z, index at) noexcept
{
    entry_record &entry = z.entry(at);
    log_record &log = z.log(entry.log);

    WEBSOCKET_FAULT_POINT("entry.written");
    store_ordered(z.head->newest != 0 ? z.entry(z.head->newest).newer
                                      : z.head->oldest,
                  at);
    WEBSOCKET_FAULT_POINT("entry.linked");
    store_ordered(log.last_position, entry.position);
    WEBSOCKET_FAULT_POINT("entry.positioned");
    store_ordered(log.last_sequence, entry.sequence);
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
    log.entry_blocks += blocks_of(entry);

    entry.next_in_log = 0;

    if (entry.transient) {
        (log.last_transient != 0 ? z.entry(log.last_transient).next_in_log
                                 : log.first_transient) = at;
        WEBSOCKET_FAULT_POINT("entry.listed");
        log.last_transient = at;
        return;
    }

    entry.earlier_message = find_earlier(z, entry);
    entry.previous_message = log.last_message;
    (log.last_message != 0 ? z.entry(log.last_message).next_in_log
                           : log.first_message) = at;
    WEBSOCKET_FAULT_POINT("entry.listed");
    log.last_message = at;
    log.message_count++;
}

std::uint64_t earlier_sequence(std::uint64_t sequence) noexcept
{
    std::uint64_t rest = sequence;

    // Subtracts the largest 2^k - 1 until nothing is left
    for (;;) {
        const std::uint64_t part = std::bit_floor(rest + 1) - 1;

        if (part == rest) {
            return sequence - part;
        }

        rest -= part;
    }
}

index earlier_of(const zone &z, index a, index b) noexcept
{
    if (a == 0 || b == 0) {
        return a != 0 ? a : b;
    }

    return z.entry(a).position < z.entry(b).position ? a : b;
}

bool is_within_age(const log_record &log, const entry_record &entry,
                   std::uint64_t now) noexcept
{
    return log.history_milliseconds == 0 || entry.time >= now ||
           now - entry.time <= log.history_milliseconds;
}

bool is_first_in_history(const zone &z, const log_record &log,
                         std::uint64_t now) noexcept
{
    return log.message_count <= log.history_messages &&
           is_within_age(log, z.entry(log.first_message), now);
}

std::size_t trim(zone &z, index at, std::uint64_t now,
                 std::size_t budget) noexcept
{
    const log_record &log = z.log(at);
    const std::uint64_t passed = min_cursor(z, log);
    std::size_t removed = 0;

    for (; removed < budget && log.first_transient != 0 &&
           z.entry(log.first_transient).position <= passed;
         removed++) {
        remove_entry(z, log.first_transient);
    }

    for (; removed < budget && log.first_message != 0 &&
           z.entry(log.first_message).position <= passed &&
           !is_first_in_history(z, log, now);
         removed++) {
        remove_entry(z, log.first_message);
    }

    return removed;
}

bool clear(zone &z, index at, std::size_t budget) noexcept
{
    const log_record &log = z.log(at);

    for (; budget > 0 && !is_empty(log); budget--) {
        const index first =
            earlier_of(z, log.first_message, log.first_transient);

        advance_readers(z, first);
        WEBSOCKET_FAULT_POINT("entry.cleared");
        remove_entry(z, first);
    }

    return is_empty(log);
}

void record_gap(log_record &log) noexcept
{
    store_ordered(log.last_gap, log.last_position + 1);
    WEBSOCKET_FAULT_POINT("gap.noted");
    store_ordered(log.last_position, log.last_gap);
    WEBSOCKET_FAULT_POINT("gap.recorded");
}

bool reclaim_blocks(zone &z, std::size_t blocks, std::uint64_t now) noexcept
{
    std::size_t unlimited = std::numeric_limits<std::size_t>::max();

    return blocks <= z.head->block_count / 2 &&
           reclaim_blocks(z, blocks, now, unlimited) == reclaim_result::done;
}

std::size_t largest_entry(const zone &z, bool limited) noexcept
{
    const index half = z.head->block_count / 2;
    const index limit = load_relaxed(z.head->max_log_blocks);

    return limited && limit != 0 ? std::min(half, limit) : half;
}

reclaim_result reclaim_for_entry(zone &z, index at, const entry_size &wanted,
                                 std::uint64_t now, std::size_t &budget,
                                 std::uint32_t &dropped) noexcept
{
    const log_record &log = z.log(at);

    if (wanted.blocks > largest_entry(z, !log.unlimited)) {
        return reclaim_result::impossible;
    }

    for (; over_limit(z, log, wanted.blocks); budget--) {
        if (budget == 0) {
            return reclaim_result::again;
        }

        dropped += drop_first(z, log, now) ? 1 : 0;
    }

    return reclaim_blocks(z, wanted.missing, now, budget);
}

std::size_t trim_to_limit(zone &z, index at, std::uint64_t now,
                          std::size_t budget) noexcept
{
    const log_record &log = z.log(at);
    std::size_t removed = 0;

    for (; removed < budget && over_limit(z, log, 0); removed++) {
        drop_first(z, log, now);
    }

    return removed;
}

} // namespace websocket::broker::detail
