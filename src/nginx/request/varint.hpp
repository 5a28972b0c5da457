// Numbers of few bytes: 7 bits a byte, the low ones first, the last byte
// without the top bit.
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

// Moves `at` behind the number.
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
