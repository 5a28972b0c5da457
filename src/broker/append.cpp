// Writes an entry, links it into its log, and queues the subscriptions that
// have to read it.
#include "broker/append.hpp"
#include "broker/blocks.hpp"
#include "broker/entries.hpp"
#include "broker/fault_point.hpp"
#include "broker/log_table.hpp"
#include "broker/subscriptions.hpp"

#include <algorithm>

namespace websocket::broker::detail {

namespace {

// 4 KiB: copying fewer blocks under the lock costs less than taking it twice.
constexpr std::size_t max_blocks_copied_locked = 32;

// The slot that this process claimed, if it still owns it.
slot_record *slot_of(const zone &z) noexcept
{
    if (z.slot >= z.head->slot_count) {
        return nullptr;
    }

    slot_record &slot = z.slots[z.slot];

    return slot.pid != 0 && slot.generation == z.slot_generation ? &slot
                                                                 : nullptr;
}

} // namespace

void free_reserved(zone &z, slot_record &slot) noexcept
{
    const index first = slot.reserved;

    if (first == 0) {
        return;
    }

    store_ordered(slot.reserved, 0);
    WEBSOCKET_FAULT_POINT("blocks.unreserved");
    free_blocks(z, first, slot.reserved_count);
}

append_operation::append_operation(zone &z, const publication &what,
                                   std::uint64_t now) noexcept
    : zone_{z}, what_{what}, now_{now}, blocks_{blocks_for(
                                            sizeof(entry_record),
                                            what.payload.size())},
      slot_{slot_of(z)}
{}

bool append_operation::is_large() const noexcept
{
    return slot_ != nullptr && blocks_ > max_blocks_copied_locked;
}

bool append_operation::is_unwanted(const log_record &log) const noexcept
{
    return log.subscriptions == 0 &&
           (what_.transient || log.history_messages == 0);
}

bool append_operation::step(index log_at) noexcept
{
    const pin keep(zone_, log_at, now_);
    log_record &log = zone_.log(log_at);
    std::size_t budget = zone_.hold.entries;

    result = {.result = outcome::done,
              .id = last_message(log),
              .position = log.last_position,
              .clients = all_clients(log),
              .dropped = result.dropped,
              .wake = {}};

    if (is_unwanted(log)) {
        result.id.sequence += what_.transient ? 0 : 1;
        store_ordered(log.last_sequence, result.id.sequence);
        return finish_without_entry(outcome::done);
    }

    const std::size_t missing =
        is_large() ? std::min(blocks_ - reserved_, zone_.hold.blocks) : blocks_;

    switch (reclaim_for_entry(zone_, log_at, {blocks_, missing}, now_, budget,
                              result.dropped)) {
    case reclaim_result::again:
        return false;
    case reclaim_result::impossible:
        zone_.head->refused++;
        return finish_without_entry(outcome::no_memory);
    case reclaim_result::done:
        break;
    }

    if (is_large() && missing != 0) {
        reserve(missing);
        return false;
    }

    finish_with_entry(log_at);
    return true;
}

// Requires so many free blocks.
void append_operation::reserve(std::size_t blocks) noexcept
{
    const index first = take_blocks(zone_, blocks);

    store_ordered(reserved_ == 0 ? slot_->reserved : zone_.next[last_reserved_],
                  first);
    WEBSOCKET_FAULT_POINT("blocks.reserved");
    first_reserved_ = reserved_ == 0 ? first : first_reserved_;
    last_reserved_ = skip_blocks(zone_, first, blocks - 1);
    reserved_ += blocks;
    slot_->reserved_count = static_cast<index>(reserved_);
}

void append_operation::copy() noexcept
{
    if (reserved_ == 0 || reserved_ != blocks_ || copied_) {
        return;
    }

    write_bytes(zone_, first_reserved_, sizeof(entry_record), what_.payload);
    copied_ = true;
    WEBSOCKET_FAULT_POINT("append.copied");
}

void append_operation::cancel() noexcept
{
    if (reserved_ != 0) {
        free_reserved(zone_, *slot_);
        reserved_ = 0;
    }
}

bool append_operation::finish_without_entry(outcome why) noexcept
{
    result.result = why;
    cancel();
    return true;
}

// Returns the first block of the entry, with the payload written.
index append_operation::take_written() noexcept
{
    if (is_large()) {
        return first_reserved_;
    }

    const index at = take_blocks(zone_, blocks_);

    write_bytes(zone_, at, sizeof(entry_record), what_.payload);
    return at;
}

void append_operation::write_record(index at, index log_at) noexcept
{
    const log_record &log = zone_.log(log_at);

    ::new (zone_.block(at)) entry_record{
        .position = log.last_position + 1,
        .sequence = log.last_sequence + (what_.transient ? 0 : 1),
        .time = what_.time,
        .from = what_.from,
        .size = static_cast<std::uint32_t>(what_.payload.size()),
        .log = log_at,
        .kind = what_.kind,
        .transient = what_.transient,
        .after_gap = log.last_gap != 0 && log.last_gap == log.last_position};
}

// If the process dies between the link and the store to the slot, repair()
// completes both.
void append_operation::finish_with_entry(index log_at) noexcept
{
    const index at = take_written();

    write_record(at, log_at);
    link_entry(zone_, at);

    if (reserved_ != 0) {
        store_ordered(slot_->reserved, 0);
        WEBSOCKET_FAULT_POINT("append.linked");
        reserved_ = 0;
    }

    result.id.sequence = zone_.entry(at).sequence;
    result.position = zone_.entry(at).position;
    result.wake = announce(zone_, log_at, at);
    WEBSOCKET_FAULT_POINT("append.announced");
    trim(zone_, log_at, now_, max_extra_removals);
}

} // namespace websocket::broker::detail
