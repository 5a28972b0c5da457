// The server's end of one WebSocket connection without its socket: reads
// what the client sends and keeps the closing handshake (RFC 6455 7).
#pragma once

#include "protocol/message_reader.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace websocket::protocol {

// A control frame as it goes out, header included.
class control_frame {
public:
    control_frame() noexcept = default;
    // `payload` is cut to the 125 bytes that a control frame may carry.
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

// What of a reason can be sent: at most 123 bytes, cut at a character's end;
// nothing of what is not UTF-8 (RFC 6455 5.5.1).
std::string_view close_reason(std::string_view words) noexcept;

// A Close frame. A code that may not travel makes an empty Close; of a reason
// goes what can be sent.
control_frame make_close_frame(std::uint16_t code,
                               std::string_view reason) noexcept;

class endpoint {
public:
    // `limits` outlive the endpoint.
    explicit endpoint(const message_limits &limits) noexcept : reader_{limits}
    {}

    // As message_reader::accept_compressed().
    void accept_compressed(const deflate_params &params) noexcept
    {
        reader_.accept_compressed(params);
    }

    // As message_reader::next(). After a Close was sent, or after a failure,
    // only the peer's Close is reported, without its code (5.5.1, 7.1.7):
    // frames are skipped until it is there. After it input is dropped unread
    // (1.4).
    event next(std::span<std::byte> &input) noexcept;

    // As message_reader::next_whole(), where between_messages().
    whole_frame next_whole(std::span<std::byte> &input) noexcept
    {
        return reader_.next_whole(input);
    }

    // Not after a Close was sent, when messages count no more.
    bool between_messages() const noexcept
    {
        return !close_sent_ && !finished_reading_ && reader_.between_messages();
    }

    // The frame that answers an event, to be sent before anything that comes
    // of later events: Pong for ping, Close for close and failed. Empty for
    // all other events, and where a Close was sent before.
    control_frame answer(const event &received) noexcept;

    // The Close frame that begins the closing handshake. Empty if one was
    // sent before: there is but one.
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
    // The client's Close was received: nothing that still comes counts.
    bool finished_reading() const noexcept { return finished_reading_; }

private:
    message_reader reader_;
    bool close_sent_ = false;
    bool failed_ = false;
    bool finished_reading_ = false;
};

} // namespace websocket::protocol
