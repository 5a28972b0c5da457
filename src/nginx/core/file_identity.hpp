// The identity of a file: a replaced file has another one.
#pragma once

#include <optional>

#include <sys/stat.h>

namespace websocket::nginx {

struct file_identity {
    dev_t device;
    ino_t number;

    bool operator==(const file_identity &) const noexcept = default;
};

inline std::optional<file_identity> identity_of(const char *path) noexcept
{
    struct stat found;

    if (stat(path, &found) != 0) {
        return {};
    }

    return file_identity{found.st_dev, found.st_ino};
}

} // namespace websocket::nginx
