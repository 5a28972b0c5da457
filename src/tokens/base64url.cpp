// Decodes base64url strictly, so that each value has one form only.
#include "tokens/base64url.hpp"

#include <cstdint>

namespace websocket::tokens {

namespace {

// Negative: none of the 64 digits.
constexpr int value_of(char digit) noexcept
{
    return digit >= 'A' && digit <= 'Z'   ? digit - 'A'
           : digit >= 'a' && digit <= 'z' ? digit - 'a' + 26
           : digit >= '0' && digit <= '9' ? digit - '0' + 52
           : digit == '-'                 ? 62
           : digit == '_'                 ? 63
                                          : -1;
}

} // namespace

std::optional<std::string> decode_base64url(std::string_view text)
{
    std::string bytes;
    std::uint32_t bits = 0;
    unsigned count = 0; // of the bits that are not in `bytes` yet

    if (text.size() % 4 == 1) {
        return std::nullopt;
    }

    bytes.reserve(text.size() / 4 * 3 + 2);

    for (const char digit : text) {
        const int value = value_of(digit);

        if (value < 0) {
            return std::nullopt;
        }

        bits = (bits << 6 | static_cast<std::uint32_t>(value)) & 0x3FFF;
        count += 6;

        if (count >= 8) {
            count -= 8;
            bytes += static_cast<char>(bits >> count & 0xFF);
        }
    }

    return (bits & ((1U << count) - 1)) == 0 ? std::optional(std::move(bytes))
                                             : std::nullopt;
}

} // namespace websocket::tokens
