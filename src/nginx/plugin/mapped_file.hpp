// The files of libraries that are loaded.
#pragma once

#include "nginx/core/file_identity.hpp"

#include <cstdint>

#include <sys/stat.h>

namespace websocket::nginx {

// Keeps the file of a library open, to find out whether it was written into:
// that changes the code of running processes.
class mapped_file {
public:
    explicit mapped_file(const char *path) noexcept;
    mapped_file(const mapped_file &) = delete;
    mapped_file &operator=(const mapped_file &) = delete;
    ~mapped_file();

    bool changed() const noexcept;

    // Whether this process has loaded that file, and it was written into since.
    static bool any_changed(const file_identity &which) noexcept;

private:
    std::uint32_t checksum() const noexcept;

    int fd_;
    struct stat found_;      // if fd_ is not -1
    std::uint32_t checksum_; // the same
    mapped_file *next_;      // of all
};

} // namespace websocket::nginx
