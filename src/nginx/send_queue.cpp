// The send queue.
#include "nginx/send_queue.hpp"

#include "nginx/transport.hpp"

#include <algorithm>
#include <array>
#include <new>

namespace websocket::nginx {

namespace {

// Small frames that wait one behind another share blocks of this size.
constexpr std::size_t block_size = 16 * 1024;

constexpr std::uint32_t fewest_slices = 8;

} // namespace

bool send_queue::slice::is_followed_by(
    const protocol::shared_buffer &other,
    std::span<const std::byte> next) const noexcept
{
    return holder.same_block(other) &&
           bytes.data() + bytes.size() == next.data();
}

void send_queue::slice::grow(std::size_t size, content what) noexcept
{
    bytes = {bytes.data(), bytes.size() + size};
    messages += what.messages;
    ends_frame = what.ends_frame;
}

bool send_queue::add(const protocol::shared_buffer &holder,
                     std::span<const std::byte> bytes, content what) noexcept
{
    if (bytes.empty()) {
        return true;
    }

    if (!empty() && last().is_followed_by(holder, bytes)) {
        last().grow(bytes.size(), what);
        waiting_ += bytes.size();
        return true;
    }

    slice *free = next_free();

    if (free == nullptr) {
        return false;
    }

    *free = {holder, bytes, what.messages, what.ends_frame, false};
    end_++;
    waiting_ += bytes.size();
    return true;
}

bool send_queue::add_copy(std::span<const std::byte> first,
                          std::span<const std::byte> second,
                          content what) noexcept
{
    const std::size_t size = first.size() + second.size();

    if (size == 0) {
        return true;
    }

    if (!empty() && last().ours && last().holder.unique() &&
        last().holder.capacity() - last().holder.size() >= size) {
        slice &tail = last();
        tail.holder.append(first);
        tail.holder.append(second);
        tail.grow(size, what);
        waiting_ += size;
        return true;
    }

    auto holder = protocol::shared_buffer::allocate(std::max(size, block_size));

    if (!holder) {
        return false;
    }

    holder.append(first);
    holder.append(second);

    if (!add(holder, holder.bytes(), what)) {
        return false;
    }

    last().ours = true;
    holder.reset();
    return true;
}

send_queue::slice *send_queue::next_free() noexcept
{
    slice *const all = slices();

    if (end_ != room_) {
        return &all[end_];
    }

    // The consumed front is reclaimed first
    if (begin_ != 0 && begin_ >= room_ / 2) {
        std::move(&all[begin_], &all[end_], &all[0]);
        end_ -= begin_;
        begin_ = 0;
        return &all[end_];
    }

    const std::uint32_t larger = std::max(room_ * 2, fewest_slices);
    std::unique_ptr<slice[]> moved{new (std::nothrow) slice[larger]};

    if (!moved) {
        return nullptr;
    }

    if (begin_ != end_) {
        std::move(&all[begin_], &all[end_], &moved[0]);
    }

    many_ = std::move(moved);
    room_ = larger;
    end_ -= begin_;
    begin_ = 0;
    return &many_[end_];
}

ngx_int_t send_queue::send(ngx_connection_t *c) noexcept
{
    const std::size_t at_once =
        transport::gathers(c) ? transport::max_pieces : 1;

    while (!empty() && c->write->ready) {
        const ssize_t sent =
            send_slices(c, std::min<std::size_t>(at_once, end_ - begin_));

        if (sent < 0) {
            return NGX_ERROR;
        }

        consume(static_cast<std::size_t>(sent));
    }

    return empty() ? NGX_OK : NGX_AGAIN;
}

ssize_t send_queue::send_slices(ngx_connection_t *c, std::size_t count) noexcept
{
    const slice *first = slices() + begin_;

    if (count == 1) {
        return transport::send(c, first->bytes);
    }

    std::array<std::span<const std::byte>, transport::max_pieces> pieces;

    for (std::size_t i = 0; i != count; i++) {
        pieces[i] = first[i].bytes;
    }

    return transport::send(c, std::span(pieces).first(count));
}

void send_queue::consume(std::size_t sent) noexcept
{
    waiting_ -= sent;

    while (sent != 0) {
        slice &front = slices()[begin_];
        const std::size_t part = std::min(sent, front.bytes.size());

        front.bytes = front.bytes.subspan(part);
        sent -= part;

        if (front.bytes.empty()) {
            front.holder.reset();
            begin_++;
        }
    }

    if (empty()) {
        many_.reset();
        room_ = 1;
        begin_ = end_ = 0;
    }
}

std::uint64_t send_queue::drop_unsent() noexcept
{
    std::uint32_t kept = begin_;

    while (kept != end_ && !slices()[kept++].ends_frame) {}

    std::uint64_t dropped = 0;

    while (end_ != kept) {
        slice &unsent = last();
        dropped += unsent.messages;
        waiting_ -= unsent.bytes.size();
        unsent.holder.reset();
        end_--;
    }

    return dropped;
}

} // namespace websocket::nginx
