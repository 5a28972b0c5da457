// Appends one message to a log that has been found.
#pragma once

#include "broker/lock_guard.hpp"
#include "broker/types.hpp"
#include "broker/zone.hpp"

namespace websocket::broker::detail {

// Puts one message at the end of a log under the next sequence number, and
// queues the subscriptions. A message without subscribers that the history does
// not keep only takes its number.
//
// Reclaiming memory takes several holds of the lock. A large payload is not
// copied under the lock. Its blocks are first reserved for the slot of this
// process and written while others have the lock; then they become an entry. If
// the process dies meanwhile, the process that reclaims its slot frees the
// blocks.
class append_operation {
public:
    // The payload must stay valid until the last step.
    append_operation(zone &z, const publication &what,
                     std::uint64_t now) noexcept;
    append_operation(const append_operation &) = delete;
    append_operation &operator=(const append_operation &) = delete;

    // With the lock, which is released between steps. The log may be another
    // one each time. False: to be called again, after copy().
    bool step(index log) noexcept;

    // Without the lock: writes the payload if all its blocks are reserved.
    void copy() noexcept;

    // With the lock: frees reserved blocks. There are no more steps.
    void cancel() noexcept;

    append_result result;

private:
    bool is_large() const noexcept;
    bool is_unwanted(const log_record &log) const noexcept;
    void reserve(std::size_t blocks) noexcept;
    index take_written() noexcept;
    void write_record(index at, index log) noexcept;
    bool finish_without_entry(outcome why) noexcept;
    void finish_with_entry(index log) noexcept;

    zone &zone_;
    const publication &what_;
    const std::uint64_t now_;
    const std::size_t blocks_; // of the entry
    slot_record *slot_;        // null: this process owns no slot
    std::size_t reserved_ = 0; // blocks
    index first_reserved_ = 0;
    index last_reserved_ = 0;
    bool copied_ = false;
};

// Frees the blocks that are reserved for a slot.
void free_reserved(zone &z, slot_record &slot) noexcept;

// Calls `step()`, each time in a hold of its own, until it returns true.
template <class function>
append_result run_append(mutex &shared, zone &z, append_operation &work,
                         function step) noexcept
{
    for (bool done = false; !done;) {
        {
            locked_zone hold(shared, z);
            done = step();
        }

        work.copy();
    }

    return work.result;
}

} // namespace websocket::broker::detail
