// Copies entries out of the zone into the memory that a reader has lent, as
// much of them as one hold of the lock allows.
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
    // entry is not too much for a hold: see large_copy.
    bool add(index at) noexcept;

    // Adds the entry whose payload is at the beginning of the bytes already.
    // Nothing was added before, and there is place for one message.
    void add_copied(index at) noexcept;

    // Nothing is missing between what was added and the entry.
    bool leads_to(index at) const noexcept
    {
        return count_ == 0 || last().position + 1 == zone_.entry(at).position;
    }

    std::size_t count() const noexcept { return count_; }
    const message &first() const noexcept { return messages_[0]; }
    const message &last() const noexcept { return messages_[count_ - 1]; }

    // The bytes that the first entry, which was not added, is short of.
    std::size_t needed(index at) const noexcept
    {
        const std::size_t size = zone_.entry(at).size;

        return size > bytes_.size() ? size : 0;
    }

private:
    const zone &zone_;
    std::span<std::byte> bytes_; // that are left
    std::span<message> messages_;
    std::size_t count_ = 0;
    std::size_t copied_ = 0; // bytes
};

// A payload that is too large for one hold of the lock, copied piece by piece.
// The reader's cursor, or a search, leads to the entry in each hold anew: an
// entry that has gone meanwhile leaves nothing behind but the bytes copied so
// far, and so does a reader that dies.
class large_copy {
public:
    // Whether the entry is to be copied so. It fits into what was lent.
    static bool suits(const zone &z, index at, const read_buffers &to) noexcept;

    // Copies a piece to the beginning of the bytes; the first one if the entry
    // is another than in the step before. True: the payload is all there.
    bool step(const zone &z, index at, std::span<std::byte> to) noexcept;

private:
    index entry_ = 0;
    std::uint64_t position_ = 0; // of the entry
    index block_ = 0;            // where the rest of the payload begins
    std::size_t copied_ = 0;
};

} // namespace websocket::broker::detail
