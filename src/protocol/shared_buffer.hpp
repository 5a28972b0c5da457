// A reference to a block of bytes that its holders share: a message being
// assembled, a frame that waits in the send queues of many clients.
//
// Not for use by several threads at a time: all holders of a block run on the
// event loop of one worker.
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

    // A block of size 0 with room for `capacity` bytes at least. Empty
    // reference when there is no memory.
    static shared_buffer allocate(std::size_t capacity) noexcept;

    explicit operator bool() const noexcept { return block_ != nullptr; }

    // Gives the reference back; the last one frees the block.
    void reset() noexcept
    {
        if (block_ != nullptr) {
            release();
        }
    }

    // The bytes in use. All below need a block.
    std::byte *data() const noexcept;
    std::size_t size() const noexcept;
    std::size_t capacity() const noexcept;
    std::span<std::byte> bytes() const noexcept { return {data(), size()}; }

    // True when nobody else holds the block: only then may what is in it
    // change. Bytes may be put behind it in any case.
    bool unique() const noexcept;

    bool same_block(const shared_buffer &other) const noexcept
    {
        return block_ == other.block_;
    }

    // Counts `added` bytes, which the caller has put behind the last one, as
    // in use.
    void extend(std::size_t added) noexcept;

    // Puts a copy of `bytes` behind the last one; there must be room.
    void append(std::span<const std::byte> bytes) noexcept;

    // Drops the first `count` bytes; what is behind them moves to the front.
    void drop_front(std::size_t count) noexcept;

    // Drops the last `count` bytes.
    void drop_back(std::size_t count) noexcept;

    // Makes room for `capacity` bytes in all, keeping the content. The block
    // may move, and other holders keep the old one. False when there is no
    // memory: then nothing has changed.
    [[nodiscard]] bool reserve(std::size_t capacity) noexcept;

    // How many blocks malloc has been asked for since the process started.
    static std::size_t allocations() noexcept;

    // From now on more spare blocks are kept for reuse, as many as were needed
    // at a time, up to 32 MiB; `begins` is called whenever there were none of
    // them and one is kept. Who gives it has drop_surplus() called from time to
    // time then, for as long as that says so. Null: no more than the usual ones
    // are kept.
    static void enable_cache(void (*begins)() noexcept) noexcept;

    // Frees those of them that nobody has needed since the last call. True
    // while there are others.
    static bool trim_cache() noexcept;

    // Frees the spare blocks that are kept for reuse.
    static void clear_cache() noexcept;

private:
    explicit shared_buffer(detail::shared_block *taken) noexcept : block_{taken}
    {}
    void release() noexcept;

    detail::shared_block *block_ = nullptr;
};

// Some bytes of a block, and a hold on it.
struct shared_slice {
    shared_buffer holder;
    std::span<const std::byte> bytes{};
};

} // namespace websocket::protocol
