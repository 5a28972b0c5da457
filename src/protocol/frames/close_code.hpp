// Status codes of the Close frame (RFC 6455 7.4), and whether a frame may carry
// them.
#pragma once

#include <cstdint>

namespace websocket::protocol::close_code {

inline constexpr std::uint16_t normal = 1000;
inline constexpr std::uint16_t going_away = 1001;
inline constexpr std::uint16_t protocol_error = 1002;
inline constexpr std::uint16_t unsupported_data = 1003;
inline constexpr std::uint16_t none_received = 1005;
inline constexpr std::uint16_t abnormal = 1006;
inline constexpr std::uint16_t invalid_payload = 1007;
inline constexpr std::uint16_t policy_violation = 1008;
inline constexpr std::uint16_t message_too_big = 1009;
inline constexpr std::uint16_t internal_error = 1011;
inline constexpr std::uint16_t service_restart = 1012;
inline constexpr std::uint16_t try_again_later = 1013;

// Of the IANA registry, in the range for libraries
inline constexpr std::uint16_t unauthorized = 3000;

// True for a code that a Close frame may carry (7.4.1, and 1012 to 1014 of the
// IANA registry). Codes reserved for local use are excluded. 3000 to 3999 are
// for libraries, 4000 to 4999 for applications.
constexpr bool is_valid_on_wire(std::uint16_t code) noexcept
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

} // namespace websocket::protocol::close_code
