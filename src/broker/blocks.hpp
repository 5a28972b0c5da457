// Takes, frees, fills and reads chains of blocks.
#pragma once

#include "broker/zone.hpp"

namespace websocket::broker::detail {

// The number of blocks that a record takes with so many bytes after it.
constexpr std::size_t blocks_for(std::size_t record, std::size_t bytes) noexcept
{
    return (record + bytes) / block_size +
           ((record + bytes) % block_size != 0 ? 1 : 0);
}

// Takes a chain of `count` blocks, at least 1. So many must be free.
index take_blocks(zone &z, std::size_t count) noexcept;

// Frees a whole chain of `count` blocks. Nothing may refer to it any more.
void free_blocks(zone &z, index first, std::size_t count) noexcept;

// The block that is `count` blocks further in the chain.
index skip_blocks(const zone &z, index from, std::size_t count) noexcept;

// Write, read or compare the bytes of a chain from `offset` on, which must lie
// in its first block.
void write_bytes(zone &z, index first, std::size_t offset,
                 std::span<const std::byte> from) noexcept;
void read_bytes(const zone &z, index first, std::size_t offset,
                std::span<std::byte> to) noexcept;
bool same_bytes(const zone &z, index first, std::size_t offset,
                std::span<const std::byte> as) noexcept;

// Compares `size` bytes of the chain with these, as memcmp does. A beginning is
// less than the whole.
int compare_bytes(const zone &z, index first, std::size_t offset,
                  std::size_t size, std::span<const std::byte> with) noexcept;

// Marks for repair() and the tests: one bit for each block.
void clear_marks(zone &z) noexcept;
inline bool marked(const zone &z, index at) noexcept
{
    return (z.marks[at / 64] >> at % 64 & 1) != 0;
}
inline void mark(zone &z, index at) noexcept
{
    z.marks[at / 64] |= std::uint64_t{1} << at % 64;
}
void mark_chain(zone &z, index first) noexcept;

// Makes all blocks without a mark the chain of free ones, in the order of their
// addresses.
void free_unmarked(zone &z) noexcept;

} // namespace websocket::broker::detail
