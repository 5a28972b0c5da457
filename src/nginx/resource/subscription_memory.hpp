// The memory of the subscriptions to one resource. Each message of the resource
// visits all of them, so they lie together, in blocks. The first blocks of a
// resource are small, since many resources have few subscribers.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

namespace websocket::nginx {

// Places of one size. All of them are freed before it is destroyed.
class subscription_memory {
public:
    struct place {
        void *memory;       // zeroed, aligned for any type; null: no memory
        std::uint8_t index; // in its block, for free()
    };

    subscription_memory() noexcept { ngx_queue_init(&free_blocks_); }
    subscription_memory(const subscription_memory &) = delete;
    subscription_memory &operator=(const subscription_memory &) = delete;

    // The size is the same in each call, as it is in free().
    place allocate(std::size_t size) noexcept
    {
        block *from =
            ngx_queue_empty(&free_blocks_)
                ? create_block(size)
                : ngx_queue_data(ngx_queue_head(&free_blocks_), block, link);

        if (from == nullptr) {
            return {nullptr, 0};
        }

        const std::uint8_t index = from->first_free;
        std::byte *memory = from->at(index, size);

        from->first_free = std::to_integer<std::uint8_t>(*memory);

        if (++from->used == from->places) {
            ngx_queue_remove(&from->link);
        }

        std::memset(memory, 0, size);
        return {memory, index};
    }

    void free(place freed, std::size_t size) noexcept
    {
        auto *memory = static_cast<std::byte *>(freed.memory);
        std::byte *first = memory - freed.index * place_size(size);
        block *of = reinterpret_cast<block *>(first) - 1;

        if (of->used == of->places) {
            ngx_queue_insert_head(&free_blocks_, &of->link);
        }

        if (--of->used == 0) {
            ngx_queue_remove(&of->link);
            places_ -= of->places;
            std::free(of);
            return;
        }

        *memory = static_cast<std::byte>(of->first_free);
        of->first_free = freed.index;
    }

private:
    static constexpr std::size_t alignment = alignof(std::max_align_t);
    static constexpr std::size_t max_block = 4096 - alignment; // and malloc's
    static constexpr std::size_t max_places =
        std::numeric_limits<std::uint8_t>::max();

    // A free place begins with the index of the next one.
    struct alignas(alignment) block {
        ngx_queue_t link; // of the blocks that have a free place
        std::uint8_t places;
        std::uint8_t used;
        std::uint8_t first_free;

        std::byte *at(std::size_t index, std::size_t size) noexcept
        {
            return reinterpret_cast<std::byte *>(this + 1) +
                   index * place_size(size);
        }
    };

    static constexpr std::size_t place_size(std::size_t size) noexcept
    {
        return (size + alignment - 1) / alignment * alignment;
    }

    // Blocks grow with the number of subscribers. Null: no memory.
    block *create_block(std::size_t size) noexcept
    {
        const std::size_t fitting = std::clamp<std::size_t>(
            (max_block - sizeof(block)) / place_size(size), 1, max_places);
        const std::size_t count = std::clamp<std::size_t>(places_, 1, fitting);
        void *memory = std::malloc(sizeof(block) + count * place_size(size));

        if (memory == nullptr) {
            return nullptr;
        }

        auto *created = ::new (memory) block{};

        created->places = static_cast<std::uint8_t>(count);

        for (std::size_t i = 0; i != count; i++) {
            *created->at(i, size) = static_cast<std::byte>(i + 1);
        }

        places_ += count;
        ngx_queue_insert_head(&free_blocks_, &created->link);
        return created;
    }

    ngx_queue_t free_blocks_; // those that have a free place
    std::size_t places_ = 0;  // of all blocks
};

} // namespace websocket::nginx
