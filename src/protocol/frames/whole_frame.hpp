// The fast path of most messages: one whole frame that breaks no rule and no
// limit. message_reader handles all others.
#pragma once

#include "protocol/frames/frame.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace websocket::protocol {

struct whole_frame {
    std::span<std::byte> payload;
    std::uint8_t header_size = 0; // 0: there is none
    opcode kind = opcode::continuation;
};

// The first frame of the input, if it is a whole final data frame without
// reserved bits. Its length must have 7 or 16 bits, in the shortest form (RFC
// 6455 5.2).
inline whole_frame find_whole_frame(std::span<std::byte> input) noexcept
{
    constexpr std::uint8_t short_header = 2 + sizeof(masking_key);
    constexpr std::uint8_t longer_header = short_header + 2;

    if (input.size() < short_header) {
        return {};
    }

    const auto first = std::to_integer<unsigned>(input[0]);
    const auto length = std::to_integer<std::size_t>(input[1]) - 0x80;

    if (first != 0x81 && first != 0x82) {
        return {};
    }

    const auto kind = static_cast<opcode>(first & 0x0F);

    if (length <= max_control_payload) {
        const std::span<std::byte> rest = input.subspan(short_header);

        if (rest.size() < length) {
            return {};
        }

        return {rest.first(length), short_header, kind};
    }

    if (length != 126 || input.size() < longer_header) {
        return {};
    }

    const std::size_t longer = std::to_integer<std::size_t>(input[2]) << 8 |
                               std::to_integer<std::size_t>(input[3]);
    const std::span<std::byte> rest = input.subspan(longer_header);

    if (longer <= max_control_payload || rest.size() < longer) {
        return {};
    }

    return {rest.first(longer), longer_header, kind};
}

} // namespace websocket::protocol
