// A broker in memory that forked processes share. An eventfd wakes each
// process, as in nginx.
#pragma once

#include "broker/broker.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string_view>

#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

namespace bench {

namespace broker = websocket::broker;

inline constexpr std::size_t message_size = 64;

// A lock in the shared memory, which first waits like nginx's.
class spin_mutex final : public broker::mutex {
public:
    explicit spin_mutex(std::atomic<std::uint32_t> &word) : word_{word} {}

    void lock() noexcept override
    {
        for (unsigned spins = 0; word_.exchange(1) != 0; spins++) {
            if (spins % 1024 == 1023) {
                sched_yield();
            }
        }
    }
    void unlock() noexcept override { word_.store(0); }

private:
    std::atomic<std::uint32_t> &word_;
};

// Reports all processes as alive.
struct no_watch final : broker::process_monitor {
    bool alive(std::int32_t) noexcept override { return true; }
    void clients_lost(std::string_view, std::uint32_t) noexcept override {}
};

// Must be created before the processes are forked.
class shared_broker {
public:
    static constexpr std::size_t slots = 4;

    explicit shared_broker(std::size_t size = 4 << 20)
        : size_{size}, memory_{mmap(nullptr, size, PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0)},
          mutex_{*new (memory_) std::atomic<std::uint32_t>(0)}, access_{mutex_}
    {
        const std::span<std::byte> rest{
            static_cast<std::byte *>(memory_) + lock_size, size - lock_size};

        if (memory_ == MAP_FAILED || !access_.create(rest, slots, 1)) {
            throw std::runtime_error("no shared memory");
        }

        for (int &wakeup_fd : wakeup_fds_) {
            wakeup_fd = eventfd(0, EFD_NONBLOCK);
        }
    }
    ~shared_broker()
    {
        munmap(memory_, size_);

        for (const int wakeup_fd : wakeup_fds_) {
            close(wakeup_fd);
        }
    }
    shared_broker(const shared_broker &) = delete;
    shared_broker &operator=(const shared_broker &) = delete;

    broker::broker &access() noexcept { return access_; }
    int wakeup_fd(unsigned slot) const noexcept { return wakeup_fds_[slot]; }

    // Claims the slot of a process, which may be started later.
    unsigned claim(std::int32_t pid)
    {
        no_watch nobody;
        return access_.claim(pid, pid, nobody, 0).slot.value();
    }

    void wake(const broker::slot_set &named) const noexcept
    {
        for (unsigned slot = 0; slot != slots; slot++) {
            if (named.test(slot)) {
                (void)eventfd_write(wakeup_fds_[slot], 1);
            }
        }
    }

private:
    static constexpr std::size_t lock_size = 64;

    std::size_t size_;
    void *memory_;
    spin_mutex mutex_;
    broker::broker access_;
    std::array<int, slots> wakeup_fds_ = {};
};

// The buffers into which a process reads.
struct read_storage {
    std::array<std::byte, 16 * 1024> bytes;
    std::array<broker::message, 64> messages;

    // Reads all unread messages of a slot; returns their number.
    std::size_t read_unread(broker::broker &from, unsigned slot)
    {
        std::size_t count = 0;

        while (const broker::unread_subscription next =
                   from.next_unread(slot)) {
            broker::read_result read{.more = true};

            while (read.more) {
                read = from.read(next.handle, {bytes, messages}, 0);
                count += read.count;
            }
        }

        return count;
    }
};

// Sleeps until the slot is woken.
class sleeper {
public:
    explicit sleeper(int wakeup_fd)
        : wakeup_fd_{wakeup_fd}, epoll_{epoll_create1(0)}
    {
        epoll_event wanted = {};

        wanted.events = EPOLLIN | EPOLLET;
        epoll_ctl(epoll_, EPOLL_CTL_ADD, wakeup_fd_, &wanted);
    }
    ~sleeper() { close(epoll_); }
    sleeper(const sleeper &) = delete;
    sleeper &operator=(const sleeper &) = delete;

    void wait() const
    {
        epoll_event event;
        eventfd_t count;

        epoll_wait(epoll_, &event, 1, -1);
        (void)eventfd_read(wakeup_fd_, &count);
    }

private:
    int wakeup_fd_;
    int epoll_;
};

} // namespace bench
