// The frames that wait for one client: references to shared blocks of bytes,
// in the order in which they will be sent. A client that keeps up has an
// empty queue, which holds no memory.
#pragma once

#include "nginx/nginx_headers.hpp"
#include "protocol/shared_buffer.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace websocket::nginx {

class send_queue {
public:
    bool empty() const noexcept { return waiting_ == 0; }

    // Bytes that wait.
    std::size_t waiting() const noexcept { return waiting_; }

    // What is known of bytes that are added.
    struct content {
        std::uint32_t messages = 0; // data messages that begin in them
        bool ends_frame = true;     // their end is the end of a frame
    };

    // Adds `bytes`, which lie in `holder`: they are not copied. False when
    // there is no memory: then nothing is added.
    [[nodiscard]] bool add(const protocol::shared_buffer &holder,
                           std::span<const std::byte> bytes,
                           content what) noexcept;

    // Adds a copy of `first` and `second`, one behind the other.
    [[nodiscard]] bool add_copy(std::span<const std::byte> first,
                                std::span<const std::byte> second,
                                content what) noexcept;

    // Sends what the connection takes now. NGX_OK: nothing waits any more,
    // NGX_AGAIN: something does, NGX_ERROR: the connection is broken.
    ngx_int_t send(ngx_connection_t *c) noexcept;

    // Forgets all that waits behind the frame of which the client may have
    // got the beginning. Returns the number of messages forgotten.
    std::uint64_t drop_unsent() noexcept;

private:
    struct slice {
        protocol::shared_buffer holder;
        std::span<const std::byte> bytes;
        std::uint32_t messages;
        bool ends_frame;
        bool ours; // the block is this queue's own: more may be appended

        bool is_followed_by(const protocol::shared_buffer &other,
                            std::span<const std::byte> next) const noexcept;
        void grow(std::size_t size, content what) noexcept;
    };

    // One slice, which is what waits for most clients, needs no memory of its
    // own.
    slice *slices() noexcept { return many_ ? many_.get() : &one_; }
    slice *next_free() noexcept;
    ssize_t send_slices(ngx_connection_t *c, std::size_t count) noexcept;
    void consume(std::size_t sent) noexcept;
    slice &last() noexcept { return slices()[end_ - 1]; }

    slice one_{};
    std::unique_ptr<slice[]> many_;
    std::uint32_t room_ = 1;
    std::uint32_t begin_ = 0;
    std::uint32_t end_ = 0;
    std::size_t waiting_ = 0;
};

} // namespace websocket::nginx
