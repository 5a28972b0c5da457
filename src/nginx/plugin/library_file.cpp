// Reads the headers of a library.
#include "nginx/plugin/library_file.hpp"

#include <cstring>

#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

namespace websocket::nginx {

namespace {

class opened_file {
public:
    explicit opened_file(const char *path) noexcept
        : fd_{open(path, O_RDONLY | O_CLOEXEC)}
    {
        struct stat found;

        size_ = fd_ != -1 && fstat(fd_, &found) == 0 ? found.st_size : 0;
    }
    ~opened_file()
    {
        if (fd_ != -1) {
            close(fd_);
        }
    }
    opened_file(const opened_file &) = delete;
    opened_file &operator=(const opened_file &) = delete;

    template <class Part>
    bool read(Part &part, off_t at) const noexcept
    {
        return pread(fd_, &part, sizeof part, at) ==
               static_cast<ssize_t>(sizeof part);
    }

    ElfW(Off) size() const noexcept { return static_cast<ElfW(Off)>(size_); }

private:
    int fd_;
    off_t size_;
};

// The table of sections is at the end of a file, and only its first entry is
// empty: one that was not written yet is zero.
bool has_all_sections(const opened_file &file,
                      const ElfW(Ehdr) & header) noexcept
{
    ElfW(Shdr) last;

    return header.e_shnum < 2 || header.e_shentsize != sizeof last ||
           (file.read(last, static_cast<off_t>(header.e_shoff +
                                               (header.e_shnum - 1U) *
                                                   sizeof last)) &&
            last.sh_type != SHT_NULL);
}

} // namespace

bool is_incomplete_library(const char *path) noexcept
{
    const opened_file file(path);
    ElfW(Ehdr) header;

    if (!file.read(header, 0) ||
        std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_phentsize != sizeof(ElfW(Phdr))) {
        return false;
    }

    for (unsigned i = 0; i != header.e_phnum; i++) {
        ElfW(Phdr) segment;

        if (!file.read(segment, static_cast<off_t>(header.e_phoff +
                                                   i * sizeof segment)) ||
            (segment.p_type == PT_LOAD &&
             (segment.p_offset > file.size() ||
              segment.p_filesz > file.size() - segment.p_offset))) {
            return true;
        }
    }

    return !has_all_sections(file, header);
}

} // namespace websocket::nginx
