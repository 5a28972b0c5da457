// Negotiates permessage-deflate in the opening handshake (RFC 7692 5 and 7.1).
#pragma once

#include "protocol/deflate/extension_reader.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace websocket::protocol {

// Windows are logarithms of sizes, as in the parameters: 8 is 256 bytes, 15 is
// 32 KiB.
inline constexpr std::uint8_t smallest_window = 8;
inline constexpr std::uint8_t largest_window = 15;
// zlib cannot compress with a raw window of 8.
inline constexpr std::uint8_t smallest_deflate_window = 9;

// The settings of a location.
struct deflate_settings {
    bool enabled = false;
    std::uint8_t window = largest_window;        // of the server, 9 to 15
    std::uint8_t client_window = largest_window; // 8 to 15
    bool context_takeover = false;               // of both sides
};

// The negotiated parameters. Valid only if `agreed`.
struct deflate_params {
    bool agreed = false;
    // Whether messages of the server, or of the client, may refer to earlier
    // ones.
    bool server_takeover = false;
    bool client_takeover = false;
    // How far back messages may refer.
    std::uint8_t server_window = largest_window;
    std::uint8_t client_window = largest_window;
    // Whether the response names the windows.
    bool server_window_answered = false;
    bool client_window_answered = false;

    bool operator==(const deflate_params &) const = default;
};

// The value of the Sec-WebSocket-Extensions field in the response, and of the
// variable that shows it.
class deflate_response {
public:
    explicit deflate_response(const deflate_params &params) noexcept;

    // Empty if nothing was agreed: the field is left out.
    std::string_view text() const noexcept { return {text_.data(), size_}; }

private:
    void add(std::string_view text) noexcept;
    void add_window(std::string_view name, unsigned window) noexcept;

    std::array<char, 136> text_;
    std::size_t size_ = 0;
};

// Chooses the first offer in the fields of a request that the server can
// accept. A parameter that is unknown, repeated or has a bad value declines its
// offer. A field that breaks the grammar declines all offers. The handshake
// never fails for it.
//
// One pass over each field, and no memory but the object: the work is
// proportional to the size of the header.
//
//     offered             context_takeover on        off
//
//     (nothing)           each side keeps its own    both go without
//     server_no_...       the server goes without    both go without
//     client_no_...       the client goes without    both go without
//
//     server_max_window   the smaller of offer and `window`, and answered; 8
//                         is declined
//
//     client_max_window   the smaller of offer and `client_window`, and
//                         answered unless it is 15, the default
//
// "Goes without" is always answered, offered or not, as RFC 7692 7.1.1 allows:
// so the other side need not keep a context. A window is answered only if it
// was offered (7.1.2). Without an offered client_max_window_bits the client's
// window is 15, regardless of the settings.
class deflate_negotiation {
public:
    // `settings` must outlive the object.
    explicit deflate_negotiation(const deflate_settings &settings) noexcept
        : settings_{&settings}
    {}

    // Adds one header field, as opening_handshake does; all but
    // Sec-WebSocket-Extensions are ignored. Their order is the client's order
    // of preference.
    void add_header(std::string_view name, std::string_view value) noexcept;

    // The result, after all fields.
    deflate_params result() const noexcept
    {
        return malformed_ ? deflate_params{} : result_;
    }

private:
    // One offer that is being read. A window of 0 was not offered.
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
