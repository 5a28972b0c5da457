// The server's side of one WebSocket connection, without its socket: reads
// frames of the client and tracks the closing handshake (RFC 6455 7).
#pragma once

#include "protocol/messages/message_reader.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace websocket::protocol {

// A control frame to send, header included.
class control_frame {
public:
    control_frame() noexcept = default;
    // `payload` is cut to the 125 bytes of a control frame.
    control_frame(opcode code, std::span<const std::byte> payload) noexcept;

    std::span<const std::byte> bytes() const noexcept
    {
        return std::span(bytes_).first(size_);
    }
    bool empty() const noexcept { return size_ == 0; }

private:
    std::uint8_t size_ = 0;
    std::array<std::byte, 2 + max_control_payload> bytes_;
};

// The part of a reason that can be sent: at most 123 bytes, cut between
// characters; empty if it is not UTF-8 (RFC 6455 5.5.1).
std::string_view close_reason(std::string_view text) noexcept;

// A Close frame. A code that is not valid on the wire makes an empty Close. The
// reason is shortened as by close_reason().
control_frame make_close_frame(std::uint16_t code,
                               std::string_view reason) noexcept;

class endpoint {
public:
    // `limits` must outlive the endpoint.
    explicit endpoint(const message_limits &limits) noexcept : reader_{limits}
    {}

    // As message_reader::accept_compressed().
    void accept_compressed(const deflate_params &params) noexcept
    {
        reader_.accept_compressed(params);
    }

    // As message_reader::next(). After a Close was sent, or after a failure,
    // frames are skipped and only the peer's Close is reported, without its
    // code (5.5.1, 7.1.7). Input after that Close is dropped unread (1.4).
    event next(std::span<std::byte> &input) noexcept;

    // As message_reader::next_whole(). Requires between_messages().
    whole_frame next_whole(std::span<std::byte> &input) noexcept
    {
        return reader_.next_whole(input);
    }

    // False after a Close was sent, because messages no longer count.
    bool between_messages() const noexcept
    {
        return !close_sent_ && !finished_reading_ && reader_.between_messages();
    }

    // The frame that answers an event: Pong for ping, Close for close and
    // failed. Send it before anything that later events cause. Empty for all
    // other events, and if a Close was sent before.
    control_frame answer(const event &received) noexcept;

    // The Close frame that begins the closing handshake. Empty if one was sent
    // before: a connection sends only one.
    control_frame begin_close(std::uint16_t code,
                              std::string_view reason) noexcept;

    std::span<std::byte> receive_buffer() noexcept
    {
        return close_sent_ ? std::span<std::byte>{} : reader_.receive_buffer();
    }
    const shared_buffer &assembled() const noexcept
    {
        return reader_.assembled();
    }

    bool needs_input() const noexcept { return reader_.needs_input(); }
    bool inflates() const noexcept { return reader_.inflates(); }
    bool inside_message() const noexcept { return reader_.inside_message(); }
    bool inside_frame() const noexcept { return reader_.inside_frame(); }
    std::uint64_t frame_rest() const noexcept { return reader_.frame_rest(); }
    bool close_sent() const noexcept { return close_sent_; }
    bool failed() const noexcept { return failed_; }
    // The client's Close was received: later input does not count.
    bool finished_reading() const noexcept { return finished_reading_; }

private:
    message_reader reader_;
    bool close_sent_ = false;
    bool failed_ = false;
    bool finished_reading_ = false;
};

} // namespace websocket::protocol
