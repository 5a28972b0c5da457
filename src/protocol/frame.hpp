// Frame headers (RFC 6455 5.2): read from bytes, with every rule that a
// header alone can break, and written as bytes.
#pragma once

#include "protocol/error.hpp"
#include "protocol/masking.hpp"

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

// The reserved bits as they stand in a header's first byte.
inline constexpr std::uint8_t rsv1 = 0x40;
inline constexpr std::uint8_t rsv2 = 0x20;
inline constexpr std::uint8_t rsv3 = 0x10;

inline constexpr std::size_t max_control_payload = 125;
// What a client sends has a masking key, what a server sends has none.
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
    std::size_t size; // bytes the header takes; 0: incomplete, or an error
    error reason;
};

// Reads the header of a client's frame from the start of `bytes`. An error is
// reported as soon as the byte that breaks the rule is there, even when the
// header is not complete. `header` holds what was read when `size` is not 0.
header_result parse_header(std::span<const std::byte> bytes,
                           std::uint8_t allowed_reserved_bits,
                           frame_header &header) noexcept;

// Where a frame ends, whatever rules it breaks. `header_size` is 0 as long as
// the header is incomplete.
struct frame_extent {
    std::size_t header_size;
    std::uint64_t payload_length;
    opcode code; // may be a reserved one
};

frame_extent find_extent(std::span<const std::byte> bytes) noexcept;

// Bytes that the header of a server's frame takes: 2, 4 or 10.
constexpr std::size_t server_header_size(std::uint64_t payload_length) noexcept
{
    return payload_length < 126 ? 2 : payload_length < 65536 ? 4 : 10;
}

namespace detail {
std::size_t write_long_header(std::byte *to,
                              std::uint64_t payload_length) noexcept;
}

// Writes the header of a server's frame, which is final and not masked, in
// its shortest form. Returns the bytes written, server_header_size() of the
// length; `to` has room for them.
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
