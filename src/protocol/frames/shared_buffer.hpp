// A reference to a block of bytes that its holders share: a message being
// assembled, or a frame in the send queues of many clients.
//
// Not thread-safe: all holders of a block run on the event loop of one worker.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

namespace websocket::protocol {

namespace detail {
struct shared_block;
}

class shared_buffer {
public:
    shared_buffer() noexcept = default;
    shared_buffer(const shared_buffer &other) noexcept;
    shared_buffer(shared_buffer &&other) noexcept
        : block_{std::exchange(other.block_, nullptr)}
    {}
    shared_buffer &operator=(shared_buffer other) noexcept
    {
        std::swap(block_, other.block_);
        return *this;
    }
    ~shared_buffer() { reset(); }

    // Allocates a block of size 0 with a capacity of at least `capacity` bytes.
    // Empty reference: no memory.
    static shared_buffer allocate(std::size_t capacity) noexcept;

    explicit operator bool() const noexcept { return block_ != nullptr; }

    // Releases the reference; the last one frees the block.
    void reset() noexcept
    {
        if (block_ != nullptr) {
            release();
        }
    }

    // The bytes in use. All functions below require a block.
    std::byte *data() const noexcept;
    std::size_t size() const noexcept;
    std::size_t capacity() const noexcept;
    std::span<std::byte> bytes() const noexcept { return {data(), size()}; }

    // True if nobody else holds the block: only then may its bytes change.
    // Bytes may be appended in any case.
    bool unique() const noexcept;

    bool same_block(const shared_buffer &other) const noexcept
    {
        return block_ == other.block_;
    }

    // Adds to the size `added` bytes that the caller has written after the last
    // one.
    void extend(std::size_t added) noexcept;

    // Appends a copy of `bytes`; the capacity must suffice.
    void append(std::span<const std::byte> bytes) noexcept;

    // Removes the first `count` bytes; the rest moves to the front.
    void drop_front(std::size_t count) noexcept;

    // Removes the last `count` bytes.
    void drop_back(std::size_t count) noexcept;

    // Grows the capacity to `capacity` bytes and keeps the content. The block
    // may move; other holders keep the old one. False: no memory, nothing has
    // changed.
    [[nodiscard]] bool reserve(std::size_t capacity) noexcept;

    // The number of allocations since the process started.
    static std::size_t allocations() noexcept;

    // Caches more free blocks for reuse, as many as were in use at a time, up
    // to 32 MiB. `begins` is called whenever the first such block is cached. It
    // must arrange that trim_cache() is called periodically as long as that
    // returns true. Null: caches no additional blocks.
    static void enable_cache(void (*begins)() noexcept) noexcept;

    // Frees additional blocks that nobody has used since the last call. True:
    // some are left.
    static bool trim_cache() noexcept;

    // Frees all cached blocks.
    static void clear_cache() noexcept;

private:
    explicit shared_buffer(detail::shared_block *taken) noexcept : block_{taken}
    {}
    void release() noexcept;

    detail::shared_block *block_ = nullptr;
};

// Bytes of a block, and a reference that keeps it.
struct shared_slice {
    shared_buffer holder;
    std::span<const std::byte> bytes{};
};

} // namespace websocket::protocol
