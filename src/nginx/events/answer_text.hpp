// The texts of an answer that have a meaning. Does not include nginx.
#pragma once

#include "protocol/frames/close_code.hpp"
#include "sdk/websocket_text.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

namespace websocket::nginx::backend {

// The value of WebSocket-Close.
struct close_order {
    std::uint16_t code;
    std::string_view reason; // any bytes
};

// Parses "CODE" or "CODE REASON". Nothing, if a Close frame cannot have the
// code.
constexpr std::optional<close_order>
parse_close_order(std::string_view value) noexcept
{
    const std::size_t space = value.find(' ');
    const auto code = detail::decimal(value.substr(0, space));

    if (!code || *code > UINT16_MAX ||
        !protocol::close_code::is_valid_on_wire(
            static_cast<std::uint16_t>(*code))) {
        return std::nullopt;
    }

    return close_order{static_cast<std::uint16_t>(*code),
                       space == value.npos ? std::string_view{}
                                           : value.substr(space + 1)};
}

// Whether a body of this Content-Type is a binary message. Types have no case.
constexpr bool is_binary_type(std::string_view content_type) noexcept
{
    constexpr std::string_view binary = "application/octet-stream";
    const std::string_view type =
        content_type.substr(0, content_type.find_first_of("; \t"));

    return std::equal(type.begin(), type.end(), binary.begin(), binary.end(),
                      [](char a, char b) {
                          return (a >= 'A' && a <= 'Z'
                                      ? static_cast<char>(a | 0x20)
                                      : a) == b;
                      });
}

} // namespace websocket::nginx::backend
