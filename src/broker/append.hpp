// A message's way into a log that has been found.
#pragma once

#include "broker/lock_guard.hpp"
#include "broker/types.hpp"
#include "broker/zone.hpp"

namespace websocket::broker::detail {

// Puts one message at the end of a log, with the next number, and makes it
// news. What nobody is subscribed to and no history wants takes its number
// only.
//
// Where room is to be made it takes several holds of the lock. A large payload
// is not copied under the lock: its blocks are reserved for this process's slot
// first, written while others have the lock, and become an entry last. Who
// reclaims the slot of a process that died meanwhile frees them.
class append_operation {
public:
    // The payload must stay until the last step.
    append_operation(zone &z, const publication &what,
                     std::uint64_t now) noexcept;
    append_operation(const append_operation &) = delete;
    append_operation &operator=(const append_operation &) = delete;

    // With the lock, which was left since the step before. The log may be
    // another one each time. False: to be called again, after copy().
    bool step(index log) noexcept;

    // Without the lock: writes the payload if all its blocks are reserved.
    void copy() noexcept;

    // With the lock: gives back what is reserved. There are no more steps.
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
    const std::size_t blocks_; // that the entry takes
    slot_record *slot_;        // null: there is none
    std::size_t reserved_ = 0; // blocks
    index first_reserved_ = 0;
    index last_reserved_ = 0;
    bool copied_ = false;
};

// Frees what is reserved for a slot.
void free_reserved(zone &z, slot_record &slot) noexcept;

// Holds the lock for one call of `step()` after the other, until that returns
// true.
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
