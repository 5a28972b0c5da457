// What leaves for one client. Frames that a session produces while it works
// on one read are gathered in a block of the worker's and leave in one write;
// what the connection does not take then waits in the send queue.
#pragma once

#include "nginx/output/send_queue.hpp"
#include "nginx/output/transport.hpp"
#include "protocol/frame.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace websocket::nginx {

class frame_writer;

// The worker's block for the frames of the session whose turn it is.
class write_batch {
public:
    bool empty() const noexcept { return piece_count_ == 0; }

    // Room for a frame's header, or for a small frame as a whole.
    static constexpr std::size_t block_size = 64 * 1024;

    // Shorter payloads are copied next to their header: a copy of some hundred
    // bytes costs less than one more piece for the kernel to gather.
    static constexpr std::size_t min_reference_size = 2048;

    frame_writer *owner = nullptr;

private:
    friend class frame_writer;

    struct piece {
        std::span<const std::byte> bytes;
        protocol::shared_buffer holder; // empty: in the block, or borrowed
        std::uint32_t messages = 0;     // that begin in it
        bool referenced = false;        // not in the block: ends a frame
        bool has_header = false;        // referred with its header in front
    };

    bool has_capacity(std::size_t size, std::size_t pieces) const noexcept;
    void copy(std::span<const std::byte> bytes,
              std::uint32_t messages) noexcept;
    bool copy_small_frame(protocol::opcode kind,
                          std::span<const std::byte> payload) noexcept;
    void reference(std::span<const std::byte> bytes,
                   const protocol::shared_buffer &holder) noexcept;
    void reference_frame(std::span<const std::byte> frame) noexcept;
    std::size_t size() const noexcept;
    void clear() noexcept;

    piece &open_piece() noexcept;

    std::size_t used_ = 0;
    std::size_t piece_count_ = 0;
    piece *open_ = nullptr; // the last, if what follows in the block is its
    std::array<piece, transport::max_pieces> pieces_;
    std::array<std::byte, block_size> block_;
};

// A small frame, as most are. False where it cannot go to the block: then it
// goes the long way.
inline bool
write_batch::copy_small_frame(protocol::opcode kind,
                              std::span<const std::byte> payload) noexcept
{
    if (payload.size() >= min_reference_size ||
        block_size - used_ < protocol::max_server_header + payload.size() ||
        (open_ == nullptr && piece_count_ != 0)) {
        return false;
    }

    piece &last = open_ != nullptr ? *open_ : open_piece();
    std::byte *to = block_.data() + used_;
    const std::size_t header = protocol::write_header(to, kind, payload.size());

    if (!payload.empty()) {
        std::memcpy(to + header, payload.data(), payload.size());
    }

    used_ += header + payload.size();
    last.bytes = {last.bytes.data(), to + header + payload.size()};
    last.messages++;
    return true;
}

// Bytes that stay where they are until the turn ends, so that frames may refer
// to them. `holder`, if there is one, keeps them alive for longer.
struct payload_ref {
    std::span<std::byte> bytes{};
    const protocol::shared_buffer *holder = nullptr;
    std::size_t headroom = 0; // bytes in front that may be overwritten

    bool contain(std::span<const std::byte> part) const noexcept;

    // Whether `part` is a piece of them that begins and ends between two
    // characters, if they are in UTF-8.
    bool contain_text(std::span<const std::byte> part) const noexcept;
};

class frame_writer {
public:
    frame_writer(ngx_connection_t *c, write_batch &batch) noexcept
        : connection_{c}, batch_{batch}
    {}
    frame_writer(const frame_writer &) = delete;
    frame_writer &operator=(const frame_writer &) = delete;
    ~frame_writer();

    // Between these two what is written is gathered in the worker's block.
    // end_turn() is followed by a flush() before anything else happens, unless
    // all_sent() was true before it.
    void begin_turn() noexcept;
    void end_turn() noexcept;

    bool all_sent() const noexcept
    {
        return (!gathering() || batch_.empty()) && queue_.empty() && !broken_;
    }

    // Between these two a handler has a message, which the frames that it
    // writes may refer to instead of copying it.
    void begin_message(const payload_ref &payload,
                       protocol::opcode kind) noexcept
    {
        received_ = payload;
        received_is_text_ = kind == protocol::opcode::text;
    }
    void end_message() noexcept { received_.bytes = {}; }

    // Whether a text is known to be UTF-8, for it was checked when it came.
    bool is_received_text(std::span<const std::byte> text) const noexcept
    {
        return received_is_text_ && ((text.data() == received_.bytes.data() &&
                                      text.size() == received_.bytes.size()) ||
                                     received_.contain_text(text));
    }

    // Writes one message as one frame. The bytes are not needed after the
    // call, except those of begin_message(). False: there was no memory or
    // the connection broke, and flush() will say so.
    [[nodiscard]] bool
    write_message(protocol::opcode kind,
                  std::span<const std::byte> payload) noexcept
    {
        return (gathering() && queue_.empty() &&
                batch_.copy_small_frame(kind, payload)) ||
               write_frame(kind, payload);
    }

    // Writes one message that is a whole frame, shared with other clients: it
    // is referred to rather than copied where that pays.
    [[nodiscard]] bool
    write_shared(const protocol::shared_slice &frame) noexcept;

    // Writes bytes that are whole frames already, or are none: the control
    // frames, or a rest of the HTTP response.
    [[nodiscard]] bool write_bytes(std::span<const std::byte> bytes) noexcept;

    // What one client may be sent before the others have their turn.
    static constexpr std::size_t flush_budget = 256 * 1024;

    // Sends what the connection takes, within the budget. NGX_OK: nothing
    // waits, NGX_AGAIN: something does, NGX_ERROR: the connection is broken, or
    // no memory.
    ngx_int_t flush(std::size_t budget = flush_budget) noexcept;

    // What waits for the client to read, as the limit of its queue counts it.
    std::size_t queue_cost() const noexcept { return queue_.cost(); }
    bool empty() const noexcept { return queue_.empty(); }

    std::uint64_t drop_unsent() noexcept
    {
        return queue_.drop_unsent(transport::max_partial_record(connection_));
    }

private:
    bool gathering() const noexcept { return batch_.owner == this; }
    bool write_frame(protocol::opcode kind,
                     std::span<const std::byte> payload) noexcept;
    bool write(std::span<const std::byte> header,
               std::span<const std::byte> payload,
               send_queue::content what) noexcept;
    bool gather(std::span<const std::byte> header,
                std::span<const std::byte> payload,
                send_queue::content what) noexcept;
    std::span<const std::byte>
    prepend_header(std::span<const std::byte> payload,
                   std::span<const std::byte> header) noexcept;
    bool reserve_batch(std::size_t size, std::size_t pieces) noexcept;
    bool flush_batch() noexcept;
    ssize_t send_pieces() noexcept;
    bool queue_unsent(std::size_t sent) noexcept;
    ngx_int_t send_queued(std::size_t budget) noexcept;
    ssize_t send_first(std::size_t budget) noexcept;
    ssize_t send_first_pieces(std::size_t budget) noexcept;

    ngx_connection_t *connection_;
    write_batch &batch_;
    payload_ref received_;
    send_queue queue_;
    bool broken_ = false;
    bool received_is_text_ = false;
};

} // namespace websocket::nginx
