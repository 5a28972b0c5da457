// Compares the files of loaded libraries with what was loaded.
#include "nginx/plugin/mapped_file.hpp"

#include "nginx/core/nginx_headers.hpp"

#include <array>

#include <fcntl.h>
#include <unistd.h>

namespace websocket::nginx {

namespace {

mapped_file *newest_mapped = nullptr;

} // namespace

mapped_file::mapped_file(const char *path) noexcept
    : fd_{open(path, O_RDONLY | O_CLOEXEC)}, found_{}, checksum_{0},
      next_{newest_mapped}
{
    newest_mapped = this;

    if (fd_ != -1 && fstat(fd_, &found_) == -1) {
        ::close(fd_);
        fd_ = -1;
    }

    checksum_ = checksum();
}

mapped_file::~mapped_file()
{
    mapped_file **link = &newest_mapped;

    while (*link != this) {
        link = &(*link)->next_;
    }

    *link = next_;

    if (fd_ != -1) {
        ::close(fd_);
    }
}

// The same bytes may have been written again.
bool mapped_file::changed() const noexcept
{
    struct stat now;

    return fd_ != -1 && fstat(fd_, &now) == 0 &&
           (now.st_size != found_.st_size ||
            ((now.st_mtim.tv_sec != found_.st_mtim.tv_sec ||
              now.st_mtim.tv_nsec != found_.st_mtim.tv_nsec) &&
             checksum() != checksum_));
}

bool mapped_file::any_changed(const file_identity &which) noexcept
{
    for (const mapped_file *each = newest_mapped; each != nullptr;
         each = each->next_) {
        if (each->fd_ != -1 &&
            file_identity{each->found_.st_dev, each->found_.st_ino} == which &&
            each->changed()) {
            return true;
        }
    }

    return false;
}

std::uint32_t mapped_file::checksum() const noexcept
{
    std::array<u_char, 16 * 1024> piece;
    std::uint32_t sum = 0xffffffff;
    off_t at = 0;

    while (fd_ != -1) {
        const ssize_t size = pread(fd_, piece.data(), piece.size(), at);

        if (size <= 0) {
            break;
        }

        ngx_crc32_update(&sum, piece.data(), static_cast<std::size_t>(size));
        at += size;
    }

    return sum;
}

} // namespace websocket::nginx
