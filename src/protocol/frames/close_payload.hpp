// Reads the payload of a Close frame (RFC 6455 5.5.1).
#pragma once

#include "protocol/frames/close_code.hpp"
#include "protocol/frames/error.hpp"
#include "protocol/text/utf8.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace websocket::protocol {

struct close_payload {
    std::uint16_t code = close_code::none_received; // for an empty payload
    error broken = error::none;
    std::span<std::byte> reason{};
};

inline close_payload read_close_payload(std::span<std::byte> payload) noexcept
{
    if (payload.empty()) {
        return {};
    }

    if (payload.size() == 1) {
        return {.broken = error::close_payload_truncated};
    }

    const auto code =
        static_cast<std::uint16_t>(std::to_integer<unsigned>(payload[0]) << 8 |
                                   std::to_integer<unsigned>(payload[1]));
    const std::span<std::byte> reason = payload.subspan(2);

    if (!close_code::is_valid_on_wire(code)) {
        return {.broken = error::close_code_invalid};
    }

    if (!is_valid_utf8(reason)) {
        return {.broken = error::close_reason_not_utf8};
    }

    return {.code = code, .reason = reason};
}

} // namespace websocket::protocol
