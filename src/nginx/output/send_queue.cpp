// Manages the slices of a send queue, and the copies that keep its memory
// small.
#include "nginx/output/send_queue.hpp"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

// Small frames that stay share blocks of these sizes. Each block is twice as
// large as the one before.
constexpr std::size_t min_block_size = 1024;
constexpr std::size_t max_block_size = 16 * 1024;

// The memory of a slice in addition to its block's bytes: the headers of the
// block and of malloc, and its part of the array, of which a quarter may be in
// use.
constexpr std::size_t overhead = 48 + 4 * 32;

constexpr std::uint32_t min_capacity = 8;

// The number of slices after which an uncompacted queue is compacted.
constexpr std::uint32_t max_unpacked = 16;

// The largest rest of a block that is copied to a smaller one.
constexpr std::size_t max_copied = 64 * 1024;

std::size_t memory_of(const protocol::shared_buffer &block) noexcept
{
    return block.capacity() + overhead;
}

} // namespace

bool send_queue::slice::is_followed_by(
    const protocol::shared_buffer &other,
    std::span<const std::byte> next) const noexcept
{
    return holder.same_block(other) &&
           bytes.data() + bytes.size() == next.data();
}

std::size_t send_queue::slice::free_capacity() const noexcept
{
    return appendable ? holder.capacity() - holder.size() : 0;
}

void send_queue::slice::grow(std::size_t size, content what) noexcept
{
    bytes = {bytes.data(), bytes.size() + size};
    messages += what.messages;
    ends_frame = what.ends_frame;
}

std::size_t send_queue::slice::memory() const noexcept
{
    return memory_of(holder);
}

// True if a slice may keep a reference to its block: if it fills half of it, or
// if a copy of the only slice would not use less memory.
bool send_queue::may_reference(const protocol::shared_buffer &holder,
                               std::size_t size) const noexcept
{
    if (begin_ == end_) {
        return 2 * size >= holder.capacity() ||
               holder.capacity() < 2 * min_block_size;
    }

    return 2 * size >= holder.capacity() && last().free_capacity() < size;
}

std::size_t send_queue::next_block_size() const noexcept
{
    return begin_ != end_ && last().appendable
               ? std::min(2 * last().holder.capacity(), max_block_size)
               : min_block_size;
}

// The inline slice of an empty queue is free.
bool send_queue::add_first(const protocol::shared_buffer &holder,
                           std::span<const std::byte> bytes,
                           content what) noexcept
{
    if (!bytes.empty()) {
        inline_slice_ = {holder, bytes, what.messages, what.ends_frame, false};
        end_ = 1;
        size_ = bytes.size();
    }

    return true;
}

bool send_queue::add_next(const protocol::shared_buffer &holder,
                          std::span<const std::byte> bytes,
                          content what) noexcept
{
    if (bytes.empty()) {
        return true;
    }

    if (last().is_followed_by(holder, bytes)) {
        last().grow(bytes.size(), what);
        size_ += bytes.size();
        return true;
    }

    if (end_ - begin_ == max_unpacked && !compacted_) {
        compact();
    }

    if (!(compacted_ && !may_reference(holder, bytes.size())
              ? append_copy(bytes, {}, what)
              : append_slice(holder, bytes, what))) {
        return false;
    }

    size_ += bytes.size();
    return true;
}

bool send_queue::add_copy(std::span<const std::byte> first,
                          std::span<const std::byte> second,
                          content what) noexcept
{
    const std::size_t size = first.size() + second.size();

    if (size != 0 && !append_copy(first, second, what)) {
        return false;
    }

    size_ += size;
    return true;
}

bool send_queue::append_slice(const protocol::shared_buffer &holder,
                              std::span<const std::byte> bytes,
                              content what) noexcept
{
    slice *free = next_free();

    if (free == nullptr) {
        return false;
    }

    *free = {holder, bytes, what.messages, what.ends_frame, false};
    end_++;

    if (compacted_) {
        memory_ += free->memory();
    }

    return true;
}

// Copies to the last block if that has the capacity, otherwise to a new one.
bool send_queue::append_copy(std::span<const std::byte> first,
                             std::span<const std::byte> second,
                             content what) noexcept
{
    const std::size_t size = first.size() + second.size();

    if (begin_ != end_ && last().free_capacity() >= size) {
        last().holder.append(first);
        last().holder.append(second);
        last().grow(size, what);
        return true;
    }

    auto block =
        protocol::shared_buffer::allocate(std::max(size, next_block_size()));

    if (!block) {
        return false;
    }

    block.append(first);
    block.append(second);

    if (!append_slice(block, block.bytes(), what)) {
        return false;
    }

    last().appendable = true;
    return true;
}

send_queue::slice *send_queue::next_free() noexcept
{
    slice *const all = slices();

    if (end_ != capacity_) {
        return &all[end_];
    }

    const std::uint32_t consumed = begin_;
    const std::uint32_t larger = std::max(capacity_ * 2, min_capacity);

    // The consumed front is reclaimed first
    if (consumed != 0 && consumed >= capacity_ / 2) {
        std::move(&all[begin_], &all[end_], &all[0]);

    } else {
        std::unique_ptr<slice[]> moved{new (std::nothrow) slice[larger]};

        if (!moved) {
            return nullptr;
        }

        if (begin_ != end_) {
            std::move(&all[begin_], &all[end_], &moved[0]);
        }

        heap_slices_ = std::move(moved);
        capacity_ = larger;
    }

    begin_ = 0;
    end_ -= consumed;
    return &slices()[end_];
}

std::size_t send_queue::front(std::span<std::span<const std::byte>> pieces,
                              std::size_t max_size) const noexcept
{
    const slice *next = slices() + begin_;
    const std::size_t count =
        std::min<std::size_t>(pieces.size(), end_ - begin_);
    std::size_t used = 0;

    for (; used != count && max_size != 0; used++) {
        pieces[used] =
            next[used].bytes.first(std::min(next[used].bytes.size(), max_size));
        max_size -= pieces[used].size();
    }

    return used;
}

void send_queue::consume_part(std::size_t sent) noexcept
{
    size_ -= sent;

    for (;;) {
        slice &front = slices()[begin_];

        if (sent < front.bytes.size()) {
            front.bytes = front.bytes.subspan(sent);
            return;
        }

        sent -= front.bytes.size();
        memory_ -= compacted_ ? front.memory() : 0;
        front.holder.reset();
        begin_++;
    }
}

void send_queue::clear() noexcept
{
    inline_slice_.holder.reset();
    heap_slices_.reset();
    capacity_ = 1;
    begin_ = end_ = 0;
    compacted_ = false;
    size_ = memory_ = 0;
}

void send_queue::compact() noexcept
{
    if (empty()) {
        return;
    }

    if (!std::exchange(compacted_, true)) {
        pack();
    }

    shrink_front();
}

// Copies slices in place: the write position never overtakes the read position.
void send_queue::pack() noexcept
{
    const std::uint32_t end = std::exchange(end_, begin_);

    for (std::uint32_t i = begin_; i != end; i++) {
        slice next = std::exchange(slices()[i], slice{});
        const content what{next.messages, next.ends_frame};

        if (next.appendable || may_reference(next.holder, next.bytes.size()) ||
            !append_copy(next.bytes, {}, what)) {
            memory_ += next.memory();
            slices()[end_++] = std::move(next);
        }
    }
}

// Copies the rest of a large block that is nearly sent to a smaller one.
void send_queue::shrink_front() noexcept
{
    slice &first = slices()[begin_];
    const std::size_t size = first.bytes.size();

    if (size > max_copied ||
        first.holder.capacity() <
            2 * std::bit_ceil(std::max(size, min_block_size))) {
        return;
    }

    auto smaller = protocol::shared_buffer::allocate(size);

    if (smaller) {
        smaller.append(first.bytes);
        memory_ -= first.memory();
        first.holder = std::move(smaller);
        memory_ += first.memory();
        first.bytes = first.holder.bytes();
        first.appendable = true;
    }
}

std::uint64_t send_queue::drop_unsent(std::size_t begun) noexcept
{
    std::uint32_t kept = begin_;
    std::size_t kept_size = 0;

    while (kept != end_ && (kept_size < begun || kept == begin_ ||
                            !slices()[kept - 1].ends_frame)) {
        kept_size += slices()[kept++].bytes.size();
    }

    std::uint64_t dropped = 0;

    while (end_ != kept) {
        slice &unsent = last();
        dropped += unsent.messages;
        size_ -= unsent.bytes.size();
        memory_ -= compacted_ ? unsent.memory() : 0;
        unsent.holder.reset();
        end_--;
    }

    return dropped;
}

} // namespace websocket::nginx
