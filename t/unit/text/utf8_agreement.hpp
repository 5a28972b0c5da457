// Compares the UTF-8 checker with the reference, with text that is cut in each
// way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "protocol/text/utf8.hpp"

#include "simd_levels.hpp"
#include "utf8_reference.hpp"

inline std::span<const std::byte> as_bytes(std::string_view text)
{
    return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string hex(std::string_view text)
{
    std::string result;
    for (const char c : text) {
        constexpr const char *digits = "0123456789ABCDEF";
        const auto byte = static_cast<std::uint8_t>(c);
        result += {digits[byte >> 4], digits[byte & 15], ' '};
    }
    return result;
}

// Whether the implementation agrees with the reference on the whole text.
inline bool agrees_whole(std::string_view text,
                         utf8_reference::verdict expected,
                         websocket::protocol::simd_level level)
{
    websocket::protocol::utf8_checker checker;
    const bool possible = checker.feed(as_bytes(text), level);
    return possible == (expected.first_impossible == text.size()) &&
           checker.complete() == expected.complete;
}

// The same for two pieces. A checker that has failed must fail again.
inline bool agrees_cut(std::string_view text, std::size_t cut,
                       utf8_reference::verdict expected,
                       websocket::protocol::simd_level level)
{
    websocket::protocol::utf8_checker checker;
    const bool first = checker.feed(as_bytes(text.substr(0, cut)), level);
    const bool second = checker.feed(as_bytes(text.substr(cut)), level);
    return first == (expected.first_impossible >= cut) &&
           second == (expected.first_impossible == text.size()) &&
           checker.complete() == expected.complete;
}

// The same for single bytes. The first impossible byte must be the first that
// is refused.
inline bool agrees_bytewise(std::string_view text,
                            utf8_reference::verdict expected,
                            websocket::protocol::simd_level level)
{
    websocket::protocol::utf8_checker checker;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool possible = checker.feed(as_bytes(text.substr(i, 1)), level);
        if (possible != (i < expected.first_impossible)) {
            return false;
        }
    }
    return checker.complete() == expected.complete;
}

inline void expect_agreement_whole(std::string_view text)
{
    const auto expected = utf8_reference::check(text);
    for (const websocket::protocol::simd_level level : simd_levels()) {
        if (!agrees_whole(text, expected, level)) {
            ADD_FAILURE() << simd_level_name(level) << ": " << hex(text);
        }
    }
}

inline void expect_agreement(std::string_view text)
{
    const auto expected = utf8_reference::check(text);
    expect_agreement_whole(text);
    for (const websocket::protocol::simd_level level : simd_levels()) {
        if (!agrees_bytewise(text, expected, level)) {
            ADD_FAILURE() << simd_level_name(level)
                          << " by bytes: " << hex(text);
        }
        for (std::size_t cut = 0; cut <= text.size(); ++cut) {
            if (!agrees_cut(text, cut, expected, level)) {
                ADD_FAILURE() << simd_level_name(level) << " cut at " << cut
                              << ": " << hex(text);
            }
        }
    }
}
