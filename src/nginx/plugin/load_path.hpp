// Paths of one file that differ.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace websocket::nginx {

// glibc returns the loaded library for a path that it knows, even if the file
// has been replaced. Returns another path of the same file for each number: its
// bits are the pieces "./" and ".//" before the name.
inline std::string load_path(std::string_view path, std::uint64_t number)
{
    const std::size_t name = path.rfind('/') + 1; // 0 without a slash
    std::string pieces;

    for (; number != 0; number >>= 1) {
        pieces += (number & 1) != 0 ? ".//" : "./";
    }

    return std::string{path.substr(0, name)}.append(pieces).append(
        path.substr(name));
}

} // namespace websocket::nginx
