// Paths of one name that differ for different files.
#pragma once

#include "nginx/core/file_identity.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace websocket::nginx {

// glibc returns the loaded library for a path that it knows, even if the file
// has been replaced. It keeps each path of a library as long as that is loaded,
// so the path is the same for the same file. The pieces "./" and ".//" before
// the name are the bits of a number, and ".///" is its end. A file whose number
// is used again is no longer loaded.
inline std::string load_path(std::string_view path, const file_identity &file)
{
    const std::size_t name = path.rfind('/') + 1; // 0 without a slash
    std::string pieces;

    for (std::uint64_t number :
         std::array<std::uint64_t, 2>{file.device, file.number}) {
        for (; number != 0; number >>= 1) {
            pieces += (number & 1) != 0 ? ".//" : "./";
        }

        pieces += ".///";
    }

    return std::string{path.substr(0, name)}.append(pieces).append(
        path.substr(name));
}

} // namespace websocket::nginx
