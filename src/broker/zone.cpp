// Lays out the zone in its memory, and attaches to it.
#include "broker/zone.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace websocket::broker::detail {

namespace {

constexpr std::uint64_t zone_magic = 0x72656b6f72622e77;
constexpr std::uint64_t zone_layout = 10; // a new number for each change of it
constexpr std::size_t line_size = 64;
constexpr std::size_t min_blocks = 256;
constexpr std::size_t max_blocks = std::size_t{1} << 26; // 8 GiB
constexpr std::size_t blocks_per_bucket = 8;

constexpr std::size_t in_lines(std::size_t size) noexcept
{
    return (size + line_size - 1) / line_size * line_size;
}

std::size_t buckets_for(std::size_t blocks) noexcept
{
    return std::bit_floor(blocks / blocks_per_bucket);
}

std::size_t bucket_bytes(std::size_t blocks) noexcept
{
    return in_lines(buckets_for(blocks) * sizeof(index));
}

// Offsets of the parts, in bytes from the header.
struct parts {
    parts(std::size_t slot_count, std::size_t block_count) noexcept
        : slots{in_lines(sizeof(header))},
          buckets{slots + in_lines(slot_count * sizeof(slot_record))},
          scopes{buckets + bucket_bytes(block_count)},
          members{scopes + bucket_bytes(block_count)}, marks{members +
                                                             bucket_bytes(
                                                                 block_count)},
          next{marks +
               in_lines((block_count / 64 + 1) * sizeof(std::uint64_t))},
          blocks{next + in_lines((block_count + 1) * sizeof(index))},
          end{blocks + block_count * block_size}
    {}

    std::size_t slots;
    std::size_t buckets;
    std::size_t scopes;
    std::size_t members;
    std::size_t marks;
    std::size_t next;
    std::size_t blocks;
    std::size_t end;
};

std::span<std::byte> whole_lines(std::span<std::byte> memory) noexcept
{
    const auto begin = reinterpret_cast<std::uintptr_t>(memory.data());
    const std::size_t skipped = in_lines(begin) - begin;

    if (memory.size() <= skipped) {
        return {};
    }

    return memory.subspan(skipped);
}

void map_parts(zone &mapped, std::byte *begin, const parts &at) noexcept
{
    mapped.head = std::launder(reinterpret_cast<header *>(begin));
    mapped.slots = reinterpret_cast<slot_record *>(begin + at.slots);
    mapped.buckets = reinterpret_cast<index *>(begin + at.buckets);
    mapped.scope_buckets = reinterpret_cast<index *>(begin + at.scopes);
    mapped.member_buckets = reinterpret_cast<index *>(begin + at.members);
    mapped.marks = reinterpret_cast<std::uint64_t *>(begin + at.marks);
    mapped.next = reinterpret_cast<index *>(begin + at.next);
    mapped.blocks = begin + at.blocks;
}

} // namespace

std::size_t min_zone_size(std::size_t slots) noexcept
{
    return parts(slots, min_blocks).end + line_size - 1;
}

bool create_zone(zone &created, std::span<std::byte> memory, std::size_t slots,
                 const hash_key &key) noexcept
{
    memory = whole_lines(memory);

    std::size_t blocks = memory.size() / block_size;

    if (blocks > max_blocks) {
        return false;
    }

    while (blocks >= min_blocks && parts(slots, blocks).end > memory.size()) {
        const std::size_t excess = parts(slots, blocks).end - memory.size();
        blocks -= (excess + 2 * block_size - 1) / (2 * block_size);
    }

    if (blocks < min_blocks) {
        return false;
    }

    const parts at(slots, blocks);
    std::memset(memory.data(), 0, at.blocks);
    auto *head = ::new (memory.data()) header{};

    head->layout = zone_layout;
    head->memory_size = memory.size();
    head->slot_count = static_cast<std::uint32_t>(slots);
    head->bucket_count = static_cast<std::uint32_t>(buckets_for(blocks));
    head->block_count = static_cast<index>(blocks);
    head->key = key;
    head->last_check = static_cast<std::uint32_t>(key[0] >> 32);

    map_parts(created, memory.data(), at);
    store_ordered(head->magic, zone_magic);
    return true;
}

bool attach_zone(zone &attached, std::span<std::byte> memory) noexcept
{
    memory = whole_lines(memory);

    if (memory.size() < sizeof(header)) {
        return false;
    }

    const auto *head =
        std::launder(reinterpret_cast<const header *>(memory.data()));

    if (head->magic != zone_magic || head->layout != zone_layout ||
        head->memory_size != memory.size()) {
        return false;
    }

    const parts at(head->slot_count, head->block_count);

    if (at.end > memory.size()) {
        return false;
    }

    map_parts(attached, memory.data(), at);
    return true;
}

} // namespace websocket::broker::detail
