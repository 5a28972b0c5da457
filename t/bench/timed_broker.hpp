// A broker of one process that records how long its lock is held. The times are
// the thread's CPU time between lock and unlock, so other load does not count.
#pragma once

#include "broker/broker.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/mman.h>
#include <time.h>

namespace bench {

namespace broker = websocket::broker;

inline constexpr std::size_t mebibyte = std::size_t{1} << 20;
inline constexpr std::uint64_t million = 1'000'000;

inline std::uint64_t nanoseconds(clockid_t clock) noexcept
{
    timespec time = {};

    clock_gettime(clock, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(time.tv_nsec);
}

// A mutex for a single process, which records how long it is held.
class timed_mutex final : public broker::mutex {
public:
    timed_mutex() { holds_.reserve(4 * million); }

    void lock() noexcept override
    {
        since_ = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
    }
    void unlock() noexcept override
    {
        if (holds_.size() < holds_.capacity()) {
            holds_.push_back(static_cast<std::uint32_t>(
                nanoseconds(CLOCK_THREAD_CPUTIME_ID) - since_));
        }
    }

    std::vector<std::uint32_t> &holds() noexcept { return holds_; }

private:
    std::uint64_t since_ = 0;
    std::vector<std::uint32_t> holds_; // nanoseconds
};

struct nobody_watches final : broker::process_monitor {
    std::int32_t dead = 0;

    bool alive(std::int32_t pid) noexcept override { return pid != dead; }
    void clients_lost(std::string_view, std::uint32_t) noexcept override {}
};

class timed_broker {
public:
    explicit timed_broker(std::size_t size)
        : size_{size}, memory_{mmap(nullptr, size, PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0)}
    {
        if (memory_ == MAP_FAILED ||
            !core.create({static_cast<std::byte *>(memory_), size}, 8, 1)) {
            std::fputs("no memory\n", stderr);
            std::exit(1);
        }

        slot = core.claim(1, 1, watch, now).slot.value();
    }
    ~timed_broker() { munmap(memory_, size_); }
    timed_broker(const timed_broker &) = delete;
    timed_broker &operator=(const timed_broker &) = delete;

    broker::subscription subscribe(std::string_view name,
                                   const broker::limits &kept)
    {
        return core.subscribe(slot, name, nullptr, kept, now).handle;
    }

    // Appends messages and reads them.
    void append(broker::subscription to, std::uint64_t count, std::size_t size,
                bool reads = true)
    {
        const std::vector<std::byte> payload(size);

        for (std::uint64_t i = 0; i != count; i++) {
            core.append(to, {.payload = payload, .time = now}, now);
            if (reads) {
                read(to);
            }
        }
    }

    void read(broker::subscription from)
    {
        while (core.read(from, {bytes, messages}, now).more) {}
    }

    // Leaves the memory as a process that dies with the lock.
    void leave_at_work() { zone()->at_work = 1; }

    // Calls the function, and prints a line about the lock.
    void measure(std::string_view what, const std::function<void()> &work)
    {
        mutex_.holds().clear();
        const std::uint64_t begin = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
        work();
        const std::uint64_t end = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
        std::vector<std::uint32_t> &holds = mutex_.holds();
        std::sort(holds.begin(), holds.end());
        const auto at = [&](std::size_t thousandths) {
            return holds.empty()
                       ? 0.0
                       : holds[(holds.size() - 1) * thousandths / 1000] /
                             1000.0;
        };

        std::printf("%-52.*s %9zu %8.1f %8.1f %8.1f %10.1f\n",
                    static_cast<int>(what.size()), what.data(), holds.size(),
                    at(500), at(999), at(1000),
                    static_cast<double>(end - begin) / 1e6);
    }

private:
    broker::detail::header *zone() const
    {
        return static_cast<broker::detail::header *>(memory_);
    }

    timed_mutex mutex_;
    std::size_t size_;
    void *memory_;

public:
    broker::broker core{mutex_};
    nobody_watches watch;
    unsigned slot = 0;
    std::uint64_t now = 1'700'000'000'000;
    std::vector<std::byte> bytes = std::vector<std::byte>(16 * mebibyte);
    std::vector<broker::message> messages = std::vector<broker::message>(64);
};

inline void print_head()
{
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    std::printf("%-52s %9s %8s %8s %8s %10s\n",
                "us of CPU per hold of the lock", "holds", "median", "99.9 %",
                "longest", "ms in all");
}

} // namespace bench
