// The frames that wait for one client, in the order in which they are sent. The
// queue of a client that keeps up is empty and holds no memory.
//
// Added frames reference blocks that other clients may share. Frames that stay,
// because the client does not read them at once, reference a block only if they
// fill at least half of its memory. All others are copied into blocks of the
// queue, which small frames share. So a queue uses about as much memory as it
// has bytes, however small the frames are.
#pragma once

#include "protocol/frames/shared_buffer.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace websocket::nginx {

class send_queue {
public:
    bool empty() const noexcept { return size_ == 0; }

    // Bytes in the queue.
    std::size_t size() const noexcept { return size_; }

    // The cost that the limit of the queue is compared with: the bytes in it,
    // or half of the memory that they use, if that is more.
    std::size_t cost() const noexcept
    {
        return compacted_ && memory_ / 2 > size_ ? memory_ / 2 : size_;
    }

    // Describes added bytes.
    struct content {
        std::uint32_t messages = 0; // data messages that begin in the bytes
        bool ends_frame = true;     // the last byte ends a frame
    };

    // Adds `bytes`, which are in the block `holder`. False without memory;
    // nothing is added then.
    [[nodiscard]] bool add(const protocol::shared_buffer &holder,
                           std::span<const std::byte> bytes,
                           content what) noexcept
    {
        return empty() ? add_first(holder, bytes, what)
                       : add_next(holder, bytes, what);
    }

    // Adds a copy of `first` followed by `second`.
    [[nodiscard]] bool add_copy(std::span<const std::byte> first,
                                std::span<const std::byte> second,
                                content what) noexcept;

    // Most queues have one piece: returns it, or nothing if there are more.
    std::span<const std::byte> only_piece() const noexcept
    {
        return end_ - begin_ == 1 ? slices()[begin_].bytes
                                  : std::span<const std::byte>{};
    }

    // Fills `pieces` with the first bytes, `max_size` at most, and returns the
    // number of pieces used. Valid until the queue changes.
    std::size_t front(std::span<std::span<const std::byte>> pieces,
                      std::size_t max_size) const noexcept;

    // Removes the first `sent` bytes.
    void consume(std::size_t sent) noexcept
    {
        sent == size_ ? clear() : consume_part(sent);
    }

    // Must be called if bytes remain after sending, because they may stay for
    // long. Without memory it changes nothing.
    void compact() noexcept;

    // Removes all frames except those that may be partially sent: those that
    // begin within the first `begun` bytes. Returns the number of messages
    // removed.
    std::uint64_t drop_unsent(std::size_t begun) noexcept;

private:
    struct slice {
        protocol::shared_buffer holder;
        std::span<const std::byte> bytes;
        std::uint32_t messages;
        bool ends_frame;
        bool appendable; // the block belongs to this queue: more may be added

        bool is_followed_by(const protocol::shared_buffer &other,
                            std::span<const std::byte> next) const noexcept;
        std::size_t free_capacity() const noexcept;
        std::size_t memory() const noexcept;
        void grow(std::size_t size, content what) noexcept;
    };

    // A single slice, as in most queues, needs no array on the heap.
    slice *slices() noexcept
    {
        return heap_slices_ ? heap_slices_.get() : &inline_slice_;
    }
    const slice *slices() const noexcept
    {
        return heap_slices_ ? heap_slices_.get() : &inline_slice_;
    }
    slice &last() noexcept { return slices()[end_ - 1]; }
    const slice &last() const noexcept { return slices()[end_ - 1]; }
    slice *next_free() noexcept;
    bool add_first(const protocol::shared_buffer &holder,
                   std::span<const std::byte> bytes, content what) noexcept;
    bool add_next(const protocol::shared_buffer &holder,
                  std::span<const std::byte> bytes, content what) noexcept;
    void consume_part(std::size_t sent) noexcept;
    void clear() noexcept;
    bool append_slice(const protocol::shared_buffer &holder,
                      std::span<const std::byte> bytes, content what) noexcept;
    bool append_copy(std::span<const std::byte> first,
                     std::span<const std::byte> second, content what) noexcept;
    bool may_reference(const protocol::shared_buffer &holder,
                       std::size_t size) const noexcept;
    std::size_t next_block_size() const noexcept;
    void pack() noexcept;
    void shrink_front() noexcept;

    slice inline_slice_{};
    std::unique_ptr<slice[]> heap_slices_;
    std::uint32_t capacity_ = 1;
    std::uint32_t begin_ = 0;
    std::uint32_t end_ = 0;
    bool compacted_ = false; // compact() was called since the queue was empty
    std::size_t size_ = 0;
    std::size_t memory_ = 0; // memory used by the slices, if compacted_
};

} // namespace websocket::nginx
