// Blocks are allocated in powers of two. Free blocks of each size are cached,
// more of the small sizes. So a busy worker neither calls malloc nor touches
// new pages for each message.
//
// With enable_cache(), blocks that many clients need at a time are cached as
// well, as long as they are in use.
#include "protocol/frames/shared_buffer.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace websocket::protocol {

struct detail::shared_block {
    std::size_t references;
    std::size_t capacity;
    std::size_t size;
    shared_block *next_spare;

    std::byte *bytes() noexcept
    {
        return reinterpret_cast<std::byte *>(this + 1);
    }
};

using block = detail::shared_block;

namespace {

constexpr std::size_t min_block_capacity = 1024;
constexpr std::size_t max_cached_capacity = std::size_t{1} << 20;
constexpr std::size_t size_classes = std::bit_width(max_cached_capacity) -
                                     std::bit_width(min_block_capacity) + 1;
constexpr std::size_t cached_bytes_per_size = std::size_t{1} << 18; // bytes
constexpr std::size_t min_cached_blocks = 2; // 5.5 MiB in all at most
constexpr std::size_t max_surplus = std::size_t{32} << 20; // in addition

struct spare_list {
    block *first = nullptr;
    std::size_t count = 0;
    std::size_t unneeded = 0; // minimum since trim_cache()
};

std::array<spare_list, size_classes> spares;
std::size_t surplus = 0; // bytes beyond default_cached_blocks
void (*on_surplus)() noexcept = nullptr;
std::size_t malloc_calls = 0;

spare_list &spares_for(std::size_t capacity) noexcept
{
    return spares[std::bit_width(capacity) -
                  std::bit_width(min_block_capacity)];
}

constexpr std::size_t default_cached_blocks(std::size_t capacity) noexcept
{
    return std::max(cached_bytes_per_size / capacity, min_cached_blocks);
}

block *pop(spare_list &list) noexcept
{
    block *taken = std::exchange(list.first, list.first->next_spare);

    if (list.count-- > default_cached_blocks(taken->capacity)) {
        surplus -= taken->capacity;
    }

    list.unneeded = std::min(list.unneeded, list.count);
    return taken;
}

void push(spare_list &list, block *unused) noexcept
{
    unused->next_spare = std::exchange(list.first, unused);
    list.count++;
}

// Adds a block beyond default_cached_blocks to the surplus, if it may be
// cached.
bool add_to_surplus(std::size_t capacity) noexcept
{
    if (on_surplus == nullptr || surplus + capacity > max_surplus) {
        return false;
    }

    if (surplus == 0) {
        on_surplus();
    }

    surplus += capacity;
    return true;
}

block *take(std::size_t capacity) noexcept
{
    if (capacity <= max_cached_capacity) {
        capacity = std::bit_ceil(std::max(capacity, min_block_capacity));
        spare_list &list = spares_for(capacity);

        if (list.first != nullptr) {
            return pop(list);
        }
    }

    if (capacity > SIZE_MAX - sizeof(block)) {
        return nullptr;
    }

    malloc_calls++;
    auto *created = static_cast<block *>(std::malloc(sizeof(block) + capacity));

    if (created != nullptr) {
        created->capacity = capacity;
    }

    return created;
}

void free_block(block *unused) noexcept
{
    if (unused->capacity <= max_cached_capacity) {
        spare_list &list = spares_for(unused->capacity);

        if (list.count < default_cached_blocks(unused->capacity) ||
            add_to_surplus(unused->capacity)) {
            push(list, unused);
            return;
        }
    }

    std::free(unused);
}

// malloc maps large blocks separately: realloc moves their pages instead of
// copying.
bool grow_in_place(block *&held, std::size_t capacity) noexcept
{
    if (capacity > SIZE_MAX - sizeof(block)) {
        return false;
    }

    malloc_calls++;
    auto *grown =
        static_cast<block *>(std::realloc(held, sizeof(block) + capacity));

    if (grown == nullptr) {
        return false;
    }

    grown->capacity = capacity;
    held = grown;
    return true;
}

} // namespace

shared_buffer::shared_buffer(const shared_buffer &other) noexcept
    : block_{other.block_}
{
    if (block_ != nullptr) {
        block_->references++;
    }
}

shared_buffer shared_buffer::allocate(std::size_t capacity) noexcept
{
    block *taken = take(capacity);

    if (taken != nullptr) {
        taken->references = 1;
        taken->size = 0;
    }

    return shared_buffer{taken};
}

void shared_buffer::release() noexcept
{
    block *held = std::exchange(block_, nullptr);

    if (--held->references == 0) {
        free_block(held);
    }
}

std::byte *shared_buffer::data() const noexcept
{
    return block_->bytes();
}

std::size_t shared_buffer::size() const noexcept
{
    return block_->size;
}

std::size_t shared_buffer::capacity() const noexcept
{
    return block_->capacity;
}

bool shared_buffer::unique() const noexcept
{
    return block_->references == 1;
}

void shared_buffer::extend(std::size_t added) noexcept
{
    block_->size += added;
}

void shared_buffer::append(std::span<const std::byte> bytes) noexcept
{
    if (!bytes.empty()) {
        std::memcpy(data() + size(), bytes.data(), bytes.size());
        extend(bytes.size());
    }
}

void shared_buffer::drop_front(std::size_t count) noexcept
{
    if (count != 0) {
        block_->size -= count;
        std::memmove(data(), data() + count, size());
    }
}

void shared_buffer::drop_back(std::size_t count) noexcept
{
    block_->size -= count;
}

bool shared_buffer::reserve(std::size_t capacity) noexcept
{
    if (capacity <= block_->capacity) {
        return true;
    }

    if (unique() && block_->capacity >= max_cached_capacity) {
        return grow_in_place(block_, capacity);
    }

    shared_buffer larger = allocate(capacity);

    if (!larger) {
        return false;
    }

    larger.append(bytes());
    *this = std::move(larger);
    return true;
}

std::size_t shared_buffer::allocations() noexcept
{
    return malloc_calls;
}

void shared_buffer::enable_cache(void (*begins)() noexcept) noexcept
{
    on_surplus = begins;
}

bool shared_buffer::trim_cache() noexcept
{
    for (spare_list &list : spares) {
        while (list.unneeded != 0 &&
               list.count > default_cached_blocks(list.first->capacity)) {
            const std::size_t rest = list.unneeded - 1;
            std::free(pop(list));
            list.unneeded = rest;
        }

        list.unneeded = list.count;
    }

    return surplus != 0;
}

void shared_buffer::clear_cache() noexcept
{
    for (spare_list &list : spares) {
        while (list.first != nullptr) {
            std::free(pop(list));
        }
    }
}

} // namespace websocket::protocol
