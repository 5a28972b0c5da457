// Pieces end at the end of a block, so that the next piece is found by counting
// blocks.
#include "broker/copying.hpp"
#include "broker/blocks.hpp"
#include "broker/fault_point.hpp"
#include "broker/log_table.hpp"

#include <algorithm>

namespace websocket::broker::detail {

bool copier::add(index at) noexcept
{
    const std::size_t size = zone_.entry(at).size;

    if (count_ == messages_.size() || size > bytes_.size() ||
        count_ == zone_.hold.entries ||
        (count_ > 0 && copied_ + size > zone_.hold.bytes())) {
        return false;
    }

    read_bytes(zone_, at, sizeof(entry_record), bytes_.first(size));
    add_copied(at);
    return true;
}

void copier::add_copied(index at) noexcept
{
    const entry_record &entry = zone_.entry(at);

    messages_[count_++] = {
        .id = {public_epoch(zone_.log(entry.log)), entry.sequence},
        .position = entry.position,
        .time = entry.time,
        .from = entry.from,
        .kind = entry.kind,
        .transient = entry.transient,
        .payload = bytes_.first(entry.size)};
    bytes_ = bytes_.subspan(entry.size);
    copied_ += entry.size;
}

bool large_copy::suits(const zone &z, index at, const read_buffers &to) noexcept
{
    return at != 0 && z.entry(at).size > z.hold.bytes() &&
           z.entry(at).size <= to.bytes.size() && !to.messages.empty();
}

bool large_copy::step(const zone &z, index at, std::span<std::byte> to) noexcept
{
    const entry_record &entry = z.entry(at);

    // A position of a log is never used twice
    if (at != entry_ || entry.position != position_) {
        entry_ = at;
        position_ = entry.position;
        block_ = at;
        copied_ = 0;
    }

    const std::size_t piece = std::min(z.hold.bytes(), entry.size - copied_);

    read_bytes(z, block_, sizeof(entry_record), to.subspan(copied_, piece));
    WEBSOCKET_FAULT_POINT("read.piece");
    copied_ += piece;

    if (copied_ == entry.size) {
        return true;
    }

    block_ = skip_blocks(z, block_, piece / block_size);
    return false;
}

} // namespace websocket::broker::detail
