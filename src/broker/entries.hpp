// The entries: put at the end of their log, removed when nobody wants them or
// when room is needed.
#pragma once

#include "broker/zone.hpp"

namespace websocket::broker::detail {

// How many entries an operation removes at most beyond those it has to, so
// that it does not hold the lock for long.
constexpr std::size_t max_extra_removals = 16;

// Puts an entry whose record and payload are written at the end of its log.
void link_entry(zone &z, index at) noexcept;

// The derived part of it, for repair().
void list_entry(zone &z, index at) noexcept;

// A message knows the one before it, and an earlier one in its log, so that any
// message is found from the last one in a few steps, about twice the logarithm
// of their number. The earlier one's sequence is that of the message, less the
// last of the parts 2^k - 1, the largest first, that the sequence is a sum of:
// from 1,000,000 the way back is 999,993, 999,930, 999,419 and so on. A message
// has no earlier one where it is removed, or messages are missing in between.
std::uint64_t earlier_sequence(std::uint64_t sequence) noexcept;

// The one of two entries that has the lower position; either may be 0.
index earlier_of(const zone &z, index a, index b) noexcept;

// Messages and transient entries of a log in the order of their positions, from
// one of each on; either may be 0.
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

// Whether the log's first message is one of those its history is to keep.
// Needs a message.
bool is_first_in_history(const zone &z, const log_record &log,
                         std::uint64_t now) noexcept;

// Whether an entry is, by age, to be kept.
bool is_within_age(const log_record &log, const entry_record &entry,
                   std::uint64_t now) noexcept;

// Removes what all have passed and history does not want, `budget` entries at
// most; returns how many.
std::size_t trim(zone &z, index log, std::uint64_t now,
                 std::size_t budget) noexcept;

// Removes the log's oldest entries, `budget` of them at most, whoever wants
// them. Those who had not read them will see that they lost some. True: the
// log has none left.
bool clear(zone &z, index log, std::size_t budget) noexcept;

// Has everybody who is subscribed to the log see that something is missing
// behind what it has. To be announced.
void record_gap(log_record &log) noexcept;

// Sees to it that so many blocks are free: removes unused logs, then the
// oldest entries. False: they never will be. For records of few blocks.
bool reclaim_blocks(zone &z, std::size_t blocks, std::uint64_t now) noexcept;

// The blocks that an entry may have at most, of a log that is limited or not.
std::size_t largest_entry(const zone &z, bool limited) noexcept;

enum class reclaim_result {
    done,
    again, // the budget is used up: to be called again
    impossible
};

struct entry_size {
    std::size_t blocks;
    std::size_t missing; // of them, that are to be free
};

// The same for an entry of the log, which first loses its own oldest entries
// as far as it would have more than one log may have. Takes what it removes off
// the budget, and counts in `dropped` what of the log's own was still wanted.
reclaim_result reclaim_for_entry(zone &z, index log, const entry_size &wanted,
                                 std::uint64_t now, std::size_t &budget,
                                 std::uint32_t &dropped) noexcept;

// Removes the oldest entries of a log that has more than one may have,
// `budget` of them at most; returns how many.
std::size_t trim_to_limit(zone &z, index log, std::uint64_t now,
                          std::size_t budget) noexcept;

} // namespace websocket::broker::detail
