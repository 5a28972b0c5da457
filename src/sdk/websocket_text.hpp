// Text that several parts of the server share: request arguments, UTF-8,
// decimals and message ids. Internal: handlers must not use it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace websocket::detail {

// The value of a hexadecimal digit, or -1. std::from_chars would emit a symbol
// that prevents a library from being unloaded.
constexpr int hex_value(char digit) noexcept
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }

    const char lower = static_cast<char>(digit | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Decodes form encoding: "+" and "%XX". A "%" without two digits stays.
inline std::string form_decoded(std::string_view encoded)
{
    std::string decoded;

    for (std::size_t i = 0; i < encoded.size(); i++) {
        const std::string_view digits = encoded.substr(i + 1, 2);

        if (encoded[i] == '%' && digits.size() == 2 &&
            hex_value(digits[0]) >= 0 && hex_value(digits[1]) >= 0) {
            decoded.push_back(static_cast<char>(hex_value(digits[0]) * 16 +
                                                hex_value(digits[1])));
            i += 2;
        } else {
            decoded.push_back(encoded[i] == '+' ? ' ' : encoded[i]);
        }
    }

    return decoded;
}

// Parses a decimal without a sign. Nothing if it is not one, or exceeds 64
// bits.
constexpr std::optional<std::uint64_t> decimal(std::string_view digits) noexcept
{
    std::uint64_t value = 0;

    for (const char digit : digits) {
        const auto next = static_cast<std::uint64_t>(digit - '0');

        if (digit < '0' || digit > '9' || value > (UINT64_MAX - next) / 10) {
            return std::nullopt;
        }

        value = value * 10 + next;
    }

    return digits.empty() ? std::nullopt : std::optional(value);
}

// A message id in text: "EPOCH-SEQUENCE", both decimal.
struct id_parts {
    std::uint64_t epoch;
    std::uint64_t sequence;
};

// Throws std::bad_alloc.
inline std::string format_id(id_parts id)
{
    return std::to_string(id.epoch) + "-" + std::to_string(id.sequence);
}

constexpr std::optional<id_parts> parse_id(std::string_view text) noexcept
{
    const std::size_t dash = text.find('-');

    if (dash == text.npos) {
        return std::nullopt;
    }

    const auto epoch = decimal(text.substr(0, dash));
    const auto sequence = decimal(text.substr(dash + 1));

    return epoch && sequence ? std::optional(id_parts{*epoch, *sequence})
                             : std::nullopt;
}

// The bytes of the UTF-8 character (RFC 3629) at the start of a text, and
// whether the character is complete.
struct character {
    std::size_t length;
    bool whole;
};

constexpr character first_character(std::string_view text) noexcept
{
    const auto at = [text](std::size_t i) {
        return static_cast<unsigned char>(text[i]);
    };
    const unsigned lead = at(0);
    const std::size_t length = lead < 0x80   ? 1
                               : lead < 0xC2 ? 0
                               : lead < 0xE0 ? 2
                               : lead < 0xF0 ? 3
                               : lead < 0xF5 ? 4
                                             : 0;

    for (std::size_t i = 1; i < length; i++) {
        // Excludes overlong forms, surrogates and values above U+10FFFF
        const unsigned low = i != 1         ? 0x80
                             : lead == 0xE0 ? 0xA0
                             : lead == 0xF0 ? 0x90
                                            : 0x80;
        const unsigned high = i != 1         ? 0xBF
                              : lead == 0xED ? 0x9F
                              : lead == 0xF4 ? 0x8F
                                             : 0xBF;

        if (i == text.size() || at(i) < low || at(i) > high) {
            return {i, false};
        }
    }

    return {length == 0 ? 1 : length, length != 0};
}

// Replaces each invalid part by U+FFFD, as browsers decode.
inline std::string repaired_text(std::string_view text)
{
    std::string repaired;

    while (!text.empty()) {
        const character next = first_character(text);

        repaired.append(next.whole ? text.substr(0, next.length)
                                   : "\xEF\xBF\xBD");
        text.remove_prefix(next.length);
    }

    return repaired;
}

} // namespace websocket::detail
