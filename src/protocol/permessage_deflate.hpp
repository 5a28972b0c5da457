// Agrees with a client on permessage-deflate in the opening handshake
// (RFC 7692 5 and 7.1).
#pragma once

#include "protocol/extension_reader.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace websocket::protocol {

// Windows are given as the logarithm of their size, as the parameters do: 8
// is 256 bytes, 15 is 32 KiB.
inline constexpr std::uint8_t smallest_window = 8;
inline constexpr std::uint8_t largest_window = 15;
// zlib has no window of 8 for what it compresses without a header of its own.
inline constexpr std::uint8_t smallest_deflate_window = 9;

// What a location wants.
struct deflate_settings {
    bool enabled = false;
    std::uint8_t window = largest_window;        // ours, 9 to 15
    std::uint8_t client_window = largest_window; // 8 to 15
    bool context_takeover = false;               // on either side
};

// What both sides have agreed on. Without `agreed` the rest means nothing.
struct deflate_params {
    bool agreed = false;
    // Whether messages may refer to the ones before: ours, the client's.
    bool server_takeover = false;
    bool client_takeover = false;
    // How far back they may refer.
    std::uint8_t server_window = largest_window;
    std::uint8_t client_window = largest_window;
    // Whether the answer names the windows.
    bool server_window_answered = false;
    bool client_window_answered = false;

    bool operator==(const deflate_params &) const = default;
};

// The value of our Sec-WebSocket-Extensions field, and of the variable that
// shows it: text that can be made at any time from the agreement.
class deflate_response {
public:
    explicit deflate_response(const deflate_params &params) noexcept;

    // Empty where nothing was agreed on: then the field is left out.
    std::string_view text() const noexcept { return {text_.data(), size_}; }

private:
    void add(std::string_view words) noexcept;
    void add_window(std::string_view name, unsigned window) noexcept;

    std::array<char, 136> text_;
    std::size_t size_ = 0;
};

// Takes the fields of a request and chooses the first offer that the server
// can accept. A parameter that is unknown, repeated or badly valued declines
// its offer; a field that breaks the grammar declines all. The handshake
// never fails for it.
//
// One pass over each field, no memory but the object's own: the work is in
// proportion to the size of the header that the caller takes.
//
//     offered             context_takeover on        off
//     (nothing)           each side keeps its own    both go without
//     server_no_...       we go without              both go without
//     client_no_...       the client goes without    both go without
//     server_max_window   the smaller of offer and `window`, and answered; 8
//                         is declined
//     client_max_window   the smaller of offer and `client_window`, and
//                         answered unless it is 15, which says nothing
//
// "Go without" is always answered, offered or not, as RFC 7692 7.1.1 allows:
// so the other side learns that it need not remember. A window is answered
// only where it was offered (7.1.2). Where client_max_window_bits was not
// offered the client's window is 15, whatever the settings say.
class deflate_negotiation {
public:
    // `settings` outlive the object.
    explicit deflate_negotiation(const deflate_settings &settings) noexcept
        : settings_{&settings}
    {}

    // Takes one header field, as opening_handshake does; all fields but
    // Sec-WebSocket-Extensions are ignored. Their order is the client's order
    // of preference.
    void add_header(std::string_view name, std::string_view value) noexcept;

    // What was agreed on, once all fields are in.
    deflate_params result() const noexcept
    {
        return malformed_ ? deflate_params{} : result_;
    }

private:
    // One offer while it is read. A window of 0 was not offered.
    struct offer {
        bool possible = false;
        bool server_no_takeover = false;
        bool client_no_takeover = false;
        bool client_window_offered = false;
        std::uint8_t server_window = 0;
        std::uint8_t client_window = 0;

        bool take(const extension_reader &parameter) noexcept;
    };

    void read(std::string_view value) noexcept;
    void end_offer(const offer &ended) noexcept;

    const deflate_settings *settings_;
    deflate_params result_;
    bool malformed_ = false;
};

} // namespace websocket::protocol
