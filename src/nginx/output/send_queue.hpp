// The frames that wait for one client, in the order in which they are sent.
// A client that keeps up has an empty queue, which holds no memory.
//
// What is added refers to blocks that other clients may share. What stays,
// because the client does not read it at once, refers to a block only where it
// fills at least half of the memory that this takes; all else is copied into
// blocks of the queue's own: small frames share them. So a queue takes about
// as much memory as the bytes that wait, however small the frames are.
#pragma once

#include "protocol/shared_buffer.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace websocket::nginx {

class send_queue {
public:
    bool empty() const noexcept { return size_ == 0; }

    // Bytes that wait.
    std::size_t size() const noexcept { return size_; }

    // What the limit of the queue is compared with: the bytes that wait, or
    // half of the memory that they keep alive where that is more.
    std::size_t cost() const noexcept
    {
        return compacted_ && memory_ / 2 > size_ ? memory_ / 2 : size_;
    }

    // What is known of bytes that are added.
    struct content {
        std::uint32_t messages = 0; // data messages that begin in them
        bool ends_frame = true;     // their end is the end of a frame
    };

    // Adds `bytes`, which lie in `holder`. False when there is no memory: then
    // nothing is added.
    [[nodiscard]] bool add(const protocol::shared_buffer &holder,
                           std::span<const std::byte> bytes,
                           content what) noexcept
    {
        return empty() ? add_first(holder, bytes, what)
                       : add_next(holder, bytes, what);
    }

    // Adds a copy of `first` and `second`, one after the other.
    [[nodiscard]] bool add_copy(std::span<const std::byte> first,
                                std::span<const std::byte> second,
                                content what) noexcept;

    // What waits most often is one piece: this, or nothing if there are more.
    std::span<const std::byte> only_piece() const noexcept
    {
        return end_ - begin_ == 1 ? slices()[begin_].bytes
                                  : std::span<const std::byte>{};
    }

    // Fills `pieces` with the first bytes that wait, `max_size` at most, and
    // returns how many of them are in use. Valid until the queue changes.
    std::size_t front(std::span<std::span<const std::byte>> pieces,
                      std::size_t max_size) const noexcept;

    // The first bytes are sent.
    void consume(std::size_t sent) noexcept
    {
        sent == size_ ? clear() : consume_part(sent);
    }

    // To be called where something is left after sending: it may stay long.
    // Without memory it stays as it is.
    void compact() noexcept;

    // Drops all that waits, but not the frames of which the client may have
    // got the beginning: those that begin within the first `begun` bytes.
    // Returns the number of messages dropped.
    std::uint64_t drop_unsent(std::size_t begun) noexcept;

private:
    struct slice {
        protocol::shared_buffer holder;
        std::span<const std::byte> bytes;
        std::uint32_t messages;
        bool ends_frame;
        bool appendable; // the block is this queue's: more may be put there

        bool is_followed_by(const protocol::shared_buffer &other,
                            std::span<const std::byte> next) const noexcept;
        std::size_t free_capacity() const noexcept;
        std::size_t memory() const noexcept;
        void grow(std::size_t size, content what) noexcept;
    };

    // One slice, which is what waits for most clients, needs no memory of its
    // own.
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
    bool compacted_ = false; // compact() was called since it was empty
    std::size_t size_ = 0;
    std::size_t memory_ = 0; // that the slices keep, where it stays
};

} // namespace websocket::nginx
