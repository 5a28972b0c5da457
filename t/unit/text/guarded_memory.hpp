// Memory between two pages without access, so that a stray read or write ends
// the test even without a sanitizer.
#pragma once

#include <cstddef>
#include <new>
#include <span>

#include <sys/mman.h>
#include <unistd.h>

class guarded_memory {
public:
    guarded_memory() : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE)))
    {
        void *all = mmap(nullptr, 3 * page_, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (all == MAP_FAILED) {
            throw std::bad_alloc();
        }
        all_ = static_cast<std::byte *>(all);
        if (mprotect(all_ + page_, page_, PROT_READ | PROT_WRITE) != 0) {
            munmap(all_, 3 * page_);
            throw std::bad_alloc();
        }
    }
    ~guarded_memory() { munmap(all_, 3 * page_); }
    guarded_memory(const guarded_memory &) = delete;
    guarded_memory &operator=(const guarded_memory &) = delete;

    // `size` bytes, at most a page, from the start of the page.
    std::span<std::byte> front(std::size_t size) const
    {
        return {all_ + page_, size};
    }
    // `size` bytes, at most a page, up to the end of the page.
    std::span<std::byte> back(std::size_t size) const
    {
        return {all_ + 2 * page_ - size, size};
    }

private:
    std::size_t page_;
    std::byte *all_;
};
