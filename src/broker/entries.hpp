// Links entries into their logs, and removes them when they are passed or
// memory is short.
#pragma once

#include "broker/zone.hpp"

namespace websocket::broker::detail {

// The most entries that an operation removes beyond those it must, so that it
// does not hold the lock for long.
constexpr std::size_t max_extra_removals = 16;

// Links an entry, whose record and payload are written, at the end of its log.
void link_entry(zone &z, index at) noexcept;

// The derived part of link_entry(), also for repair().
void list_entry(zone &z, index at) noexcept;

// Each message links to the previous one, and to an earlier one of its log. So
// any message is found from the last one in about 2 log2(n) steps.
//
// The sequence is a sum of numbers 2^k - 1, the largest first. The earlier
// sequence is that sum without its last term: from 1,000,000 the way back is
// 999,993, 999,930, 999,419 and so on. There is no earlier message if it is
// removed, or messages in between are missing.
std::uint64_t earlier_sequence(std::uint64_t sequence) noexcept;

// The one of two entries that has the lower position; either may be 0.
index earlier_of(const zone &z, index a, index b) noexcept;

// Iterates over messages and transient entries of a log by position, beginning
// at one of each; either may be 0.
class entries_in_order {
public:
    entries_in_order(const zone &z, index message, index transient) noexcept
        : zone_{z}, message_{message}, transient_{transient}
    {}

    // 0: there are no more.
    index first() const noexcept
    {
        return earlier_of(zone_, message_, transient_);
    }
    void pass_first() noexcept
    {
        const entry_record &passed = zone_.entry(first());

        (passed.transient ? transient_ : message_) = passed.next_in_log;
    }

    index message() const noexcept { return message_; }
    index transient() const noexcept { return transient_; }

private:
    const zone &zone_;
    index message_;
    index transient_;
};

// Whether the log's first message is in the history. Requires a message.
bool is_first_in_history(const zone &z, const log_record &log,
                         std::uint64_t now) noexcept;

// Whether the entry is young enough for the history of the log.
bool is_within_age(const log_record &log, const entry_record &entry,
                   std::uint64_t now) noexcept;

// Removes entries that all subscriptions have passed and the history does not
// keep, at most `budget`. Returns the number.
std::size_t trim(zone &z, index log, std::uint64_t now,
                 std::size_t budget) noexcept;

// Removes the log's oldest entries, read or not, at most `budget`.
// Subscriptions that had not read them see a gap. True: the log is empty.
bool clear(zone &z, index log, std::size_t budget) noexcept;

// Makes all subscriptions of the log see a gap after its last entry. announce()
// must follow.
void record_gap(log_record &log) noexcept;

// Frees memory until so many blocks are free: removes unused logs, then the
// oldest entries. False: impossible. For records of few blocks.
bool reclaim_blocks(zone &z, std::size_t blocks, std::uint64_t now) noexcept;

// The most blocks that one entry may have, of a log with or without a limit.
std::size_t largest_entry(const zone &z, bool limited) noexcept;

enum class reclaim_result {
    done,
    again, // the budget is used up: to be called again
    impossible
};

struct entry_size {
    std::size_t blocks;
    std::size_t missing; // of these, still to be free
};

// Frees memory for one entry of the log. The log first loses its own oldest
// entries as far as it would exceed its limit.
//
// Subtracts removed entries from the budget. Adds to `dropped` the log's own
// entries that were unread or in the history.
reclaim_result reclaim_for_entry(zone &z, index log, const entry_size &wanted,
                                 std::uint64_t now, std::size_t &budget,
                                 std::uint32_t &dropped) noexcept;

// Removes the oldest entries of a log over its limit, at most `budget`. Returns
// the number.
std::size_t trim_to_limit(zone &z, index log, std::uint64_t now,
                          std::size_t budget) noexcept;

} // namespace websocket::broker::detail
