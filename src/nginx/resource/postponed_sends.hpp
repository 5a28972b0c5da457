// Sends that wait for the delivery of an earlier publication: a handler has
// published a message, and sends to a client or closes it before this worker
// has delivered that message.
//
// Each send has the position in the resource's log after which it is due. The
// resource keeps them in that order, which is also the order of the calls.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/output/shared_frame.hpp"
#include "protocol/frames/frame.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace websocket::nginx {

class membership;

// Bases, so that a send is found by its link without offsetof().
struct resource_send_link : ngx_queue_t {};
struct session_send_link : ngx_queue_t {};

class postponed_send : resource_send_link, session_send_link {
public:
    // Copies the payload. Null if there is no memory.
    static postponed_send *
    create_message(protocol::opcode kind,
                   std::span<const std::byte> payload) noexcept;

    // Shares the frame.
    static postponed_send *
    create_shared(const std::shared_ptr<const shared_frame> &frame) noexcept;

    // A Close frame, or no bytes: the connection closes.
    static postponed_send *
    create_close(std::span<const std::byte> control_frame) noexcept;

    bool is_close() const noexcept { return is_close_; }
    protocol::opcode kind() const noexcept { return kind_; }
    const shared_frame *frame() const noexcept { return frame_.get(); }
    std::span<const std::byte> bytes() const noexcept
    {
        return {bytes_.get(), size_};
    }

    // Bytes that it uses of the client's send queue.
    std::size_t cost() const noexcept { return sizeof(*this) + size_; }

private:
    friend class postponed_list;
    friend class postponed_queue;

    postponed_send() = default;
    static postponed_send *
    create_copy(std::span<const std::byte> bytes) noexcept;

    ngx_queue_t *resource_link() noexcept
    {
        return static_cast<resource_send_link *>(this);
    }
    ngx_queue_t *session_link() noexcept
    {
        return static_cast<session_send_link *>(this);
    }
    static postponed_send *from_resource_link(ngx_queue_t *link) noexcept
    {
        return static_cast<postponed_send *>(
            static_cast<resource_send_link *>(link));
    }
    static postponed_send *from_session_link(ngx_queue_t *link) noexcept
    {
        return static_cast<postponed_send *>(
            static_cast<session_send_link *>(link));
    }

    membership *client_ = nullptr;
    std::uint64_t position_ = 0;
    std::shared_ptr<const shared_frame> frame_;
    std::unique_ptr<std::byte[]> bytes_;
    std::size_t size_ = 0;
    protocol::opcode kind_{};
    bool is_close_ = false;
};

// The sends of one session, first to last. An empty list takes one pointer,
// since most sessions have none.
class postponed_list {
public:
    postponed_list() = default;
    postponed_list(const postponed_list &) = delete;
    postponed_list &operator=(const postponed_list &) = delete;
    ~postponed_list() { clear(); }

    bool empty() const noexcept { return !sends_; }
    std::size_t cost() const noexcept { return sends_ ? sends_->cost : 0; }

    // The first send, or null.
    postponed_send *first() noexcept;

    // Removes it from this list and from its resource's queue.
    void remove(postponed_send *send) noexcept;
    void clear() noexcept;

private:
    friend class postponed_queue;

    struct send_list {
        send_list() noexcept { ngx_queue_init(&queue); }

        ngx_queue_t queue;
        std::size_t cost = 0;
    };

    std::unique_ptr<send_list> sends_; // null: empty
};

// The sends to all clients of a resource on this worker.
class postponed_queue {
public:
    postponed_queue() noexcept { ngx_queue_init(&sends_); }

    // Takes ownership. The send is due after `position`, and not before those
    // already queued. False if there was no memory: the send is deleted.
    [[nodiscard]] bool add(postponed_send *send, membership &client,
                           postponed_list &list,
                           std::uint64_t position) noexcept;

    bool empty() const noexcept { return ngx_queue_empty(&sends_); }

    // The client of the first send if it is due at `delivered`, else null.
    membership *first_due(std::uint64_t delivered) const noexcept;

private:
    ngx_queue_t sends_;
};

} // namespace websocket::nginx
