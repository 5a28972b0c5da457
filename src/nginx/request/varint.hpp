// Variable-length integers: 7 bits per byte, the low bits first. The top bit is
// set in all bytes but the last.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <cstddef>
#include <string>

namespace websocket::nginx {

// Throws std::bad_alloc.
inline void write_varint(std::string &to, std::size_t number)
{
    for (; number > 0x7f; number >>= 7) {
        to += static_cast<char>(0x80 | (number & 0x7f));
    }

    to += static_cast<char>(number);
}

// Advances `at` past the number.
inline std::size_t read_varint(const u_char *&at) noexcept
{
    std::size_t number = 0;
    unsigned shift = 0;

    for (; (*at & 0x80) != 0; shift += 7) {
        number |= static_cast<std::size_t>(*at++ & 0x7f) << shift;
    }

    return number | static_cast<std::size_t>(*at++) << shift;
}

} // namespace websocket::nginx
