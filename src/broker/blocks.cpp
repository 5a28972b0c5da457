// Free blocks are a stack of chains. Blocks are taken from the top chain, and a
// freed chain is pushed as it is. So freeing a long chain takes constant time
// and keeps its runs of adjacent blocks.
#include "broker/blocks.hpp"
#include "broker/fault_point.hpp"

#include <algorithm>
#include <cstring>

namespace websocket::broker::detail {

namespace {

// Calls `run_at(bytes, size)` for each contiguous piece of the chain until it
// returns false.
template <class function>
void each_run(const zone &z, index block, std::size_t offset, std::size_t size,
              function run_at) noexcept
{
    while (size > 0) {
        std::byte *begin = z.block(block) + offset;
        std::size_t run = block_size - offset;

        while (run < size && z.next[block] == block + 1) {
            block++;
            run += block_size;
        }

        run = std::min(run, size);

        if (!run_at(begin, run)) {
            return;
        }

        size -= run;
        offset = 0;
        block = z.next[block];
    }
}

} // namespace

index take_blocks(zone &z, std::size_t count) noexcept
{
    const index first = z.head->free;
    index below = z.free_chain(first).below;
    index last = first;

    for (std::size_t i = 1; i < count; i++) {
        if (z.next[last] == 0) {
            z.next[last] = below;
            below = z.free_chain(below).below;
        }
        last = z.next[last];
    }

    const index rest = z.next[last];

    if (rest != 0) {
        ::new (z.block(rest)) free_record{below};
    }

    z.head->free = rest != 0 ? rest : below;
    z.head->free_count -= static_cast<index>(count);
    WEBSOCKET_FAULT_POINT("blocks.taken");
    z.next[last] = 0;
    return first;
}

void free_blocks(zone &z, index first, std::size_t count) noexcept
{
    ::new (z.block(first)) free_record{z.head->free};
    WEBSOCKET_FAULT_POINT("blocks.joined");
    z.head->free = first;
    z.head->free_count += static_cast<index>(count);
}

index skip_blocks(const zone &z, index from, std::size_t count) noexcept
{
    for (; count > 0; count--) {
        from = z.next[from];
    }

    return from;
}

void write_bytes(zone &z, index first, std::size_t offset,
                 std::span<const std::byte> from) noexcept
{
    each_run(z, first, offset, from.size(),
             [&from](std::byte *run, std::size_t size) {
                 std::memcpy(run, from.data(), size);
                 from = from.subspan(size);
                 WEBSOCKET_FAULT_POINT("blocks.written");
                 return true;
             });
}

void read_bytes(const zone &z, index first, std::size_t offset,
                std::span<std::byte> to) noexcept
{
    each_run(z, first, offset, to.size(),
             [&to](const std::byte *run, std::size_t size) {
                 std::memcpy(to.data(), run, size);
                 to = to.subspan(size);
                 return true;
             });
}

bool same_bytes(const zone &z, index first, std::size_t offset,
                std::span<const std::byte> as) noexcept
{
    each_run(z, first, offset, as.size(),
             [&as](const std::byte *run, std::size_t size) {
                 if (std::memcmp(as.data(), run, size) != 0) {
                     return false;
                 }
                 as = as.subspan(size);
                 return true;
             });
    return as.empty();
}

int compare_bytes(const zone &z, index first, std::size_t offset,
                  std::size_t size, std::span<const std::byte> with) noexcept
{
    const std::byte *at = with.data();
    int order = 0;

    each_run(z, first, offset, std::min(size, with.size()),
             [&](const std::byte *run, std::size_t run_size) {
                 order = std::memcmp(run, at, run_size);
                 at += run_size;
                 return order == 0;
             });

    if (order != 0 || size == with.size()) {
        return order;
    }

    return size < with.size() ? -1 : 1;
}

void clear_marks(zone &z) noexcept
{
    std::fill_n(z.marks, z.head->block_count / 64 + 1, 0);
}

void mark_chain(zone &z, index first) noexcept
{
    for (index at = first; at != 0; at = z.next[at]) {
        mark(z, at);
    }
}

void free_unmarked(zone &z) noexcept
{
    index *last = &z.head->free;
    index count = 0;

    for (index at = 1; at <= z.head->block_count; at++) {
        if (!marked(z, at)) {
            *last = at;
            last = &z.next[at];
            count++;
        }
    }

    *last = 0;
    z.head->free_count = count;

    if (count != 0) {
        ::new (z.block(z.head->free)) free_record{};
    }
}

} // namespace websocket::broker::detail
