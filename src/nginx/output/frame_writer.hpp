// Writes frames to one client. Frames produced while a session processes one
// read are collected in a block of the worker and sent with one system call.
// Bytes that the connection does not accept wait in the send queue.
#pragma once

#include "nginx/output/response_body.hpp"
#include "nginx/output/send_queue.hpp"
#include "nginx/output/transport.hpp"
#include "protocol/frames/frame.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace websocket::nginx {

class frame_writer;

// The worker's block for the frames of the session whose turn it is. It is a
// list of pieces, which are sent in order.
class write_batch {
public:
    bool empty() const noexcept { return piece_count_ == 0; }

    // Holds the headers of frames, and small frames as a whole.
    static constexpr std::size_t block_size = 64 * 1024;

    // Shorter payloads are copied after their header: copying some hundred
    // bytes costs less than one more piece for the kernel to collect.
    static constexpr std::size_t min_reference_size = 2048;

    frame_writer *owner = nullptr;

private:
    friend class frame_writer;

    struct piece {
        std::span<const std::byte> bytes;
        // empty: bytes are in the block or borrowed
        protocol::shared_buffer holder;
        std::uint32_t messages = 0; // messages that begin here
        bool referenced = false; // bytes are not in the block and end a frame
        bool has_header = false; // referenced together with the header
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
    piece *open_ = nullptr; // the last piece, if it may grow in the block
    std::array<piece, transport::max_pieces> pieces_;
    std::array<std::byte, block_size> block_;
};

// Adds a small frame, as most are. False if it does not fit in the block; the
// caller then uses write_frame().
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

// A received payload, which stays in place until the turn ends, so that frames
// may reference it. `holder`, if not null, keeps it alive for longer.
struct payload_ref {
    std::span<std::byte> bytes{};
    const protocol::shared_buffer *holder = nullptr;
    std::size_t headroom = 0; // writable bytes in front of the payload

    bool contains(std::span<const std::byte> part) const noexcept;

    // True if `part` is contained and begins and ends between characters,
    // assuming valid UTF-8.
    bool contains_text(std::span<const std::byte> part) const noexcept;
};

class frame_writer {
public:
    explicit frame_writer(ngx_connection_t *c) noexcept : connection_{c} {}
    frame_writer(const frame_writer &) = delete;
    frame_writer &operator=(const frame_writer &) = delete;
    ~frame_writer();

    // From now on bytes are sent through this instead of the connection.
    void send_through(response_body *body) noexcept { body_ = body; }
    response_body *body() const noexcept { return body_; }

    // Frames written between these two calls are collected in the worker's
    // block. After end_turn() the caller must call flush(), unless all_sent()
    // was true before it.
    void begin_turn() noexcept;
    void end_turn() noexcept;

    bool all_sent() const noexcept
    {
        return (!gathering() || batch_.empty()) && queue_.empty() && !broken_;
    }

    // Between these two calls a handler has a message, which the frames that it
    // writes may reference instead of copying it.
    void begin_message(const payload_ref &payload,
                       protocol::opcode kind) noexcept
    {
        received_ = payload;
        received_is_text_ = kind == protocol::opcode::text;
    }
    void end_message() noexcept { received_.bytes = {}; }

    // True if the text is part of a received text message, which is valid
    // UTF-8.
    bool is_received_text(std::span<const std::byte> text) const noexcept
    {
        return received_is_text_ && ((text.data() == received_.bytes.data() &&
                                      text.size() == received_.bytes.size()) ||
                                     received_.contains_text(text));
    }

    // Writes one message as one frame. The payload is not needed after the
    // call, except that of begin_message(). False without memory, or if the
    // connection failed; the next flush() then returns NGX_ERROR.
    [[nodiscard]] bool
    write_message(protocol::opcode kind,
                  std::span<const std::byte> payload) noexcept
    {
        return (gathering() && queue_.empty() &&
                batch_.copy_small_frame(kind, payload)) ||
               write_frame(kind, payload);
    }

    // The same without a frame header.
    [[nodiscard]] bool
    write_unframed(std::span<const std::byte> payload) noexcept;

    // Writes one message encoded as a frame that other clients share. Large
    // frames are referenced instead of copied.
    [[nodiscard]] bool
    write_shared(const protocol::shared_slice &frame) noexcept;

    // Writes bytes as they are: control frames, or the rest of the HTTP
    // response.
    [[nodiscard]] bool write_bytes(std::span<const std::byte> bytes) noexcept;

    // Bytes that one client may be sent before the other sessions have their
    // turn.
    static constexpr std::size_t flush_budget = 256 * 1024;

    // Sends what the connection accepts, at most `budget` bytes. Returns NGX_OK
    // if nothing is left, NGX_AGAIN if something is, or NGX_ERROR without
    // memory or if the connection failed.
    ngx_int_t flush(std::size_t budget = flush_budget) noexcept;

    // The cost of the send queue, as its limit counts it.
    std::size_t queue_cost() const noexcept { return queue_.cost(); }
    bool empty() const noexcept { return queue_.empty(); }

    std::uint64_t drop_unsent() noexcept
    {
        return queue_.drop_unsent(
            body_ != nullptr ? 0 : transport::max_partial_record(connection_));
    }

private:
    static inline write_batch batch_; // of the session whose turn it is

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

    ssize_t
    transmit(std::span<const std::span<const std::byte>> pieces) noexcept;

    ngx_connection_t *connection_;
    response_body *body_ = nullptr; // null: the connection is the client's own
    payload_ref received_;
    send_queue queue_;
    bool broken_ = false;
    bool received_is_text_ = false;
};

} // namespace websocket::nginx
