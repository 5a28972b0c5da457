// Reads and writes frame headers.
#include "protocol/frames/frame.hpp"

#include <algorithm>
#include <cstring>

namespace websocket::protocol {

namespace {

constexpr unsigned fin_bit = 0x80;
constexpr unsigned mask_bit = 0x80;
constexpr unsigned length_16 = 126; // RFC 6455 5.2: with these two values
constexpr unsigned length_64 = 127; // the length follows

constexpr header_result incomplete{0, error::none};

constexpr header_result refused(error reason) noexcept
{
    return {0, reason};
}

constexpr bool is_reserved(unsigned code) noexcept
{
    return (code > 0x2 && code < 0x8) || code > 0xA;
}

error check_first_byte(unsigned byte, unsigned allowed_reserved_bits) noexcept
{
    const unsigned code = byte & 0xF;

    if ((byte & (rsv1 | rsv2 | rsv3) & ~allowed_reserved_bits) != 0) {
        return error::reserved_bits;
    }

    if (is_reserved(code)) {
        return error::reserved_opcode;
    }

    if (code >= 0x8 && (byte & fin_bit) == 0) {
        return error::control_fragmented;
    }

    // RFC 7692 6.1: RSV1 is for the first frame of a data message
    const bool begins_message = code == 0x1 || code == 0x2;
    return !begins_message && (byte & (rsv1 | rsv2 | rsv3)) != 0
               ? error::reserved_bits
               : error::none;
}

error check_second_byte(unsigned first, unsigned second) noexcept
{
    if ((second & mask_bit) == 0) {
        return error::not_masked;
    }

    const bool control = (first & 0x8) != 0;
    return control && (second & 0x7F) > max_control_payload
               ? error::control_too_long
               : error::none;
}

// A number of `size` bytes; bytes beyond those of `from` are `missing`.
std::uint64_t read_big_endian(std::span<const std::byte> from, std::size_t size,
                              std::byte missing) noexcept
{
    std::uint64_t value = 0;

    for (std::size_t i = 0; i < size; i++) {
        const std::byte byte = i < from.size() ? from[i] : missing;
        value = value << 8 | std::to_integer<std::uint64_t>(byte);
    }

    return value;
}

void write_big_endian(std::byte *to, std::uint64_t value,
                      std::size_t size) noexcept
{
    while (size != 0) {
        to[--size] = static_cast<std::byte>(value & 0xFF);
        value >>= 8;
    }
}

// Checks a length of `size` bytes of which `from` may hold only the first.
// Missing bytes are between all zeros and all ones.
error check_extended_length(std::span<const std::byte> from,
                            std::size_t size) noexcept
{
    const std::uint64_t lowest = read_big_endian(from, size, std::byte{0});
    const std::uint64_t highest = read_big_endian(from, size, std::byte{0xFF});

    if (size == 8 && lowest >> 63 != 0) {
        return error::length_top_bit;
    }

    return highest < (size == 2 ? 126U : 65536U) ? error::length_not_minimal
                                                 : error::none;
}

} // namespace

header_result parse_header(std::span<const std::byte> bytes,
                           std::uint8_t allowed_reserved_bits,
                           frame_header &header) noexcept
{
    if (bytes.empty()) {
        return incomplete;
    }

    const auto first = std::to_integer<unsigned>(bytes[0]);

    if (const error reason = check_first_byte(first, allowed_reserved_bits);
        reason != error::none) {
        return refused(reason);
    }

    if (bytes.size() < 2) {
        return incomplete;
    }

    const auto second = std::to_integer<unsigned>(bytes[1]);

    if (const error reason = check_second_byte(first, second);
        reason != error::none) {
        return refused(reason);
    }

    std::uint64_t length = second & 0x7F;
    std::size_t size = 2;

    if (length >= length_16) {
        const std::size_t extended = length == length_64 ? 8 : 2;

        const std::span<const std::byte> from =
            bytes.subspan(size, std::min(extended, bytes.size() - size));

        if (const error reason = check_extended_length(from, extended);
            reason != error::none) {
            return refused(reason);
        }

        // If the length is cut, so is the key: incomplete is returned below
        length = read_big_endian(from, extended, std::byte{0});
        size += extended;
    }

    if (bytes.size() < size + sizeof(masking_key)) {
        return incomplete;
    }

    header.payload_length = length;
    std::memcpy(header.key.data(), &bytes[size], sizeof(masking_key));
    header.code = static_cast<opcode>(first & 0xF);
    header.reserved_bits = first & (rsv1 | rsv2 | rsv3);
    header.fin = (first & fin_bit) != 0;

    return {size + sizeof(masking_key), error::none};
}

frame_extent find_extent(std::span<const std::byte> bytes) noexcept
{
    if (bytes.size() < 2) {
        return {};
    }

    const auto first = std::to_integer<unsigned>(bytes[0]);
    const auto second = std::to_integer<unsigned>(bytes[1]);
    const unsigned length = second & 0x7F;
    const std::size_t extended = length == length_64   ? 8
                                 : length == length_16 ? 2
                                                       : 0;
    const std::size_t size =
        2 + extended + ((second & mask_bit) != 0 ? sizeof(masking_key) : 0);

    if (bytes.size() < size) {
        return {};
    }

    return {size,
            extended != 0
                ? read_big_endian(bytes.subspan(2, extended), extended, {})
                : length,
            static_cast<opcode>(first & 0xF)};
}

std::size_t detail::write_long_header(std::byte *to,
                                      std::uint64_t payload_length) noexcept
{
    to[1] = static_cast<std::byte>(length_64);
    write_big_endian(to + 2, payload_length, sizeof payload_length);
    return max_server_header;
}

} // namespace websocket::protocol
