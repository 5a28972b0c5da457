// The bytes that a session itself sends on an event stream (server-sent events,
// https://html.spec.whatwg.org/multipage/server-sent-events.html): a client
// that cannot use a WebSocket reads the messages of its resource from the
// response to a GET.
#pragma once

#include "protocol/messages/endpoint.hpp"

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace websocket::nginx {

// The subprotocol of such a client. It is no token, so no client can offer it.
inline constexpr std::string_view event_stream_type = "text/event-stream";

// A comment, in place of a Ping.
inline constexpr std::string_view event_comment = ":\n\n";

// A Close, as the client gets it: the frame, or an event that names the code
// and the reason. Borrows the frame.
class close_bytes {
public:
    close_bytes(const protocol::control_frame &frame, bool as_event) noexcept;
    close_bytes(const close_bytes &) = delete;
    close_bytes &operator=(const close_bytes &) = delete;

    std::span<const std::byte> get() const noexcept { return bytes_; }

private:
    // A reason has 123 bytes, of which each may take six
    std::array<char, 1024> event_;
    std::span<const std::byte> bytes_;
};

// The beginning of an event stream: when the client is to come back if the
// connection ends. The time differs, so that not all come back at once.
class event_preamble {
public:
    event_preamble() noexcept;

    std::span<const std::byte> get() const noexcept
    {
        return std::as_bytes(std::span(text_).first(size_));
    }

private:
    std::array<char, 64> text_;
    std::size_t size_;
};

} // namespace websocket::nginx
