// Frame headers (RFC 6455 5.2): parsed with every rule that a header alone can
// break, and written.
#pragma once

#include "protocol/frames/error.hpp"
#include "protocol/frames/masking.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace websocket::protocol {

enum class opcode : std::uint8_t {
    continuation = 0x0,
    text = 0x1,
    binary = 0x2,
    close = 0x8,
    ping = 0x9,
    pong = 0xA,
};

constexpr bool is_control(opcode code) noexcept
{
    return (static_cast<unsigned>(code) & 0x8) != 0;
}

// The reserved bits in the first byte of a header.
inline constexpr std::uint8_t rsv1 = 0x40;
inline constexpr std::uint8_t rsv2 = 0x20;
inline constexpr std::uint8_t rsv3 = 0x10;

inline constexpr std::size_t max_control_payload = 125;
// Frames of a client have a masking key, frames of a server have none.
inline constexpr std::size_t max_client_header = 14;
inline constexpr std::size_t max_server_header = 10;

struct frame_header {
    std::uint64_t payload_length;
    masking_key key;
    opcode code;
    std::uint8_t reserved_bits;
    bool fin;
};

struct header_result {
    std::size_t size; // bytes of the header; 0: incomplete, or an error
    error reason;
};

// Parses the header of a client's frame at the beginning of `bytes`. Reports an
// error as soon as the byte that breaks the rule is there, even if the header
// is incomplete. Sets `header` if `size` is not 0.
header_result parse_header(std::span<const std::byte> bytes,
                           std::uint8_t allowed_reserved_bits,
                           frame_header &header) noexcept;

// The end of a frame, whatever rules it breaks. `header_size` is 0 while the
// header is incomplete.
struct frame_extent {
    std::size_t header_size;
    std::uint64_t payload_length;
    opcode code; // may be a reserved one
};

frame_extent find_extent(std::span<const std::byte> bytes) noexcept;

// The size of the header of a server's frame: 2, 4 or 10 bytes.
constexpr std::size_t server_header_size(std::uint64_t payload_length) noexcept
{
    return payload_length < 126 ? 2 : payload_length < 65536 ? 4 : 10;
}

namespace detail {
std::size_t write_long_header(std::byte *to,
                              std::uint64_t payload_length) noexcept;
}

// Writes the header of a server's frame, final and not masked, in its shortest
// form. Returns its size, server_header_size(payload_length). `to` must hold so
// many bytes.
inline std::size_t write_header(std::byte *to, opcode code,
                                std::uint64_t payload_length,
                                std::uint8_t reserved_bits = 0) noexcept
{
    constexpr unsigned fin = 0x80;

    to[0] = static_cast<std::byte>(fin | reserved_bits |
                                   static_cast<unsigned>(code));

    if (payload_length <= max_control_payload) {
        to[1] = static_cast<std::byte>(payload_length);
        return 2;
    }

    if (payload_length > 0xFFFF) {
        return detail::write_long_header(to, payload_length);
    }

    to[1] = std::byte{126}; // 5.2: the length follows in 16 bits
    to[2] = static_cast<std::byte>(payload_length >> 8);
    to[3] = static_cast<std::byte>(payload_length & 0xFF);
    return 4;
}

} // namespace websocket::protocol
