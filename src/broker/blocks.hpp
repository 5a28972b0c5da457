// Chains of blocks: taken, given back, filled and read.
#pragma once

#include "broker/zone.hpp"

namespace websocket::broker::detail {

// How many blocks a record with so many bytes behind it needs.
constexpr std::size_t blocks_for(std::size_t record, std::size_t bytes) noexcept
{
    return (record + bytes) / block_size +
           ((record + bytes) % block_size != 0 ? 1 : 0);
}

// A chain of `count` blocks, 1 at least; so many must be free.
index take_blocks(zone &z, std::size_t count) noexcept;

// Frees a whole chain of `count` blocks, which nothing reaches any more.
void free_blocks(zone &z, index first, std::size_t count) noexcept;

// The block that comes so many after the one in its chain.
index skip_blocks(const zone &z, index from, std::size_t count) noexcept;

// The bytes of a chain from `offset` on, which lies in its first block.
void write_bytes(zone &z, index first, std::size_t offset,
                 std::span<const std::byte> from) noexcept;
void read_bytes(const zone &z, index first, std::size_t offset,
                std::span<std::byte> to) noexcept;
bool same_bytes(const zone &z, index first, std::size_t offset,
                std::span<const std::byte> as) noexcept;

// The marks of repair() and audit(): a bit for each block.
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

// Makes all blocks without a mark the chain of free ones, in the order in
// which they lie in memory.
void free_unmarked(zone &z) noexcept;

} // namespace websocket::broker::detail
