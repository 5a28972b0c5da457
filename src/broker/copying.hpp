// Copies entries out of the zone into a reader's buffers, as much as one hold
// of the lock allows.
#pragma once

#include "broker/types.hpp"
#include "broker/zone.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace websocket::broker::detail {

class copier {
public:
    copier(const zone &z, const read_buffers &to) noexcept
        : zone_{z}, bytes_{to.bytes}, messages_{to.messages}
    {}

    // False: the entry does not fit, or this hold has copied enough. The first
    // entry is never too much for a hold: see large_copy.
    bool add(index at) noexcept;

    // Adds the entry whose payload is at the beginning of the bytes already.
    // Requires that nothing was added before, and a buffer for one message.
    void add_copied(index at) noexcept;

    // True: no entry is missing between those added and this one.
    bool leads_to(index at) const noexcept
    {
        return count_ == 0 || last().position + 1 == zone_.entry(at).position;
    }

    std::size_t count() const noexcept { return count_; }
    const message &first() const noexcept { return messages_[0]; }
    const message &last() const noexcept { return messages_[count_ - 1]; }

    // The size of the first entry if it does not fit, else 0.
    std::size_t needed(index at) const noexcept
    {
        const std::size_t size = zone_.entry(at).size;

        return size > bytes_.size() ? size : 0;
    }

private:
    const zone &zone_;
    std::span<std::byte> bytes_; // the rest
    std::span<message> messages_;
    std::size_t count_ = 0;
    std::size_t copied_ = 0; // bytes
};

// A payload that is too large for one hold of the lock, copied piece by piece.
// Each hold finds the entry again by the reader's cursor or by a search. An
// entry that was removed meanwhile, or a reader that dies, leaves no state in
// the memory.
class large_copy {
public:
    // Whether the entry needs several holds and fits into the buffers.
    static bool suits(const zone &z, index at, const read_buffers &to) noexcept;

    // Copies the next piece; the first one if the entry differs from that of
    // the step before. True: the payload is complete.
    bool step(const zone &z, index at, std::span<std::byte> to) noexcept;

private:
    index entry_ = 0;
    std::uint64_t position_ = 0; // of that entry
    index block_ = 0;            // where the rest of the payload begins
    std::size_t copied_ = 0;
};

} // namespace websocket::broker::detail
