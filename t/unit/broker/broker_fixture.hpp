// A broker in memory that processes share, and a mutex that is freed after the
// death of its owner.
#pragma once

#include "integrity_check.hpp"

#include "broker/broker.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <new>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

namespace broker_tests {

using namespace websocket::broker;

// Memory that forked processes share.
class shared_memory {
public:
    explicit shared_memory(std::size_t size)
        : bytes_{static_cast<std::byte *>(
                     mmap(nullptr, size, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0)),
                 size}
    {
        if (bytes_.data() == MAP_FAILED) {
            throw std::bad_alloc();
        }
    }
    ~shared_memory() { munmap(bytes_.data(), bytes_.size()); }
    shared_memory(const shared_memory &) = delete;
    shared_memory &operator=(const shared_memory &) = delete;

    std::span<std::byte> bytes() const { return bytes_; }
    template <class object>
    object *as() const
    {
        return reinterpret_cast<object *>(bytes_.data());
    }

private:
    std::span<std::byte> bytes_;
};

// Holds the pid of its owner, like nginx's mutex.
class owned_mutex : public mutex {
public:
    void lock() noexcept override
    {
        pid_t nobody = 0;

        while (!owner()->compare_exchange_weak(nobody, getpid())) {
            nobody = 0;
            sched_yield();
        }
    }
    void unlock() noexcept override { *owner() = 0; }

    // Frees the mutex of a process that has exited, like nginx's master.
    bool free_of(pid_t dead) noexcept
    {
        return owner()->compare_exchange_strong(dead, 0);
    }

private:
    std::atomic<pid_t> *owner() const { return word_.as<std::atomic<pid_t>>(); }

    shared_memory word_{sizeof(std::atomic<pid_t>)};
};

// A process monitor whose processes live until the test marks them dead.
struct process_table : process_monitor {
    bool alive(std::int32_t pid) noexcept override
    {
        return !dead.contains(pid);
    }
    void clients_lost(std::string_view name,
                      std::uint32_t clients) noexcept override
    {
        lost[std::string(name)] += clients;
    }

    void slot_freed(unsigned slot, std::int32_t pid) noexcept override
    {
        freed[slot] = pid;
    }

    std::set<std::int32_t> dead;
    std::map<unsigned, std::int32_t> freed;
    std::map<std::string, std::uint32_t> lost;
};

inline std::span<const std::byte> bytes_of(std::string_view text)
{
    return std::as_bytes(std::span(text));
}

inline std::string text_of(std::span<const std::byte> bytes)
{
    return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

inline publication message_of(std::string_view text, std::uint64_t time = 0)
{
    return {.payload = bytes_of(text), .time = time};
}

inline publication transient_of(std::string_view text)
{
    return {.payload = bytes_of(text), .transient = true};
}

// A buffer of four messages, so that most reading takes several calls. It grows
// on demand.
class read_memory {
public:
    explicit read_memory(std::size_t messages = 4, std::size_t size = 512)
        : bytes_(size), messages_(messages)
    {}

    read_buffers buffers() { return {bytes_, messages_}; }
    void grow(std::size_t needed) { bytes_.resize(needed); }
    std::span<const message> first(std::size_t count) const
    {
        return std::span(messages_).first(count);
    }

private:
    std::vector<std::byte> bytes_;
    std::vector<message> messages_;
};

const std::string gap = "(gap)";

class broker_test : public testing::Test {
protected:
    static constexpr std::size_t kibibyte = 1024;

    // Fails the test if the zone is damaged at its end.
    ~broker_test() override
    {
        if (memory_ != nullptr) {
            EXPECT_EQ(check_integrity(core), "");
        }
    }

    void make(std::size_t size = 256 * kibibyte, std::size_t slots = 4)
    {
        memory_ = std::make_unique<shared_memory>(size);
        ASSERT_TRUE(core.create(memory_->bytes(), slots, 42));
    }

    std::span<std::byte> memory() const { return memory_->bytes(); }

    unsigned claim(std::int32_t pid)
    {
        const claim_result taken = core.claim(pid, pid, processes, now);
        EXPECT_TRUE(taken.slot.has_value());
        return taken.slot.value_or(0);
    }

    subscription subscribe(unsigned slot, std::string_view name = "room",
                           const limits &history = {})
    {
        const subscribed result =
            core.subscribe(slot, name, nullptr, history, now);
        EXPECT_EQ(result.result, outcome::done);
        return result.handle;
    }

    append_result send(subscription to, std::string_view text)
    {
        const append_result sent = core.append(to, message_of(text, now), now);
        EXPECT_EQ(sent.result, outcome::done);
        return sent;
    }

    // Reads all messages of the subscription.
    std::vector<std::string> read(subscription from)
    {
        return gather(
            [&](const read_buffers &to) { return core.read(from, to, now); });
    }

    std::vector<std::string> history(subscription from, std::uint64_t after)
    {
        return gather([&](const read_buffers &to) {
            const read_result result = core.read_history(from, after, to, now);
            if (result.count > 0) {
                after = to.messages[result.count - 1].id.sequence;
            }
            return result;
        });
    }

    // Reads all unread messages of a slot, in the order of next_unread().
    std::vector<std::string> drain(unsigned slot)
    {
        std::vector<std::string> all;

        while (const unread_subscription next = core.next_unread(slot)) {
            for (std::string &text : read(next.handle)) {
                all.push_back(std::move(text));
            }
        }

        return all;
    }

    // Sweeps until every log was visited.
    void expire_all()
    {
        while (!core.expire(now, 1000)) {}
    }

    // Removes expired messages and all unused logs.
    void forget_all()
    {
        expire_all();
        now += unused_log_ttl;
        expire_all();
    }

    owned_mutex lock;
    broker core{lock};
    process_table processes;
    std::uint64_t now = 1'700'000'000'000;

private:
    template <class function>
    std::vector<std::string> gather(function read_some)
    {
        read_memory storage;
        std::vector<std::string> all;

        for (;;) {
            const read_result result = read_some(storage.buffers());

            if (result.needed != 0) {
                EXPECT_EQ(result.count, 0);
                EXPECT_FALSE(result.lost);
                storage.grow(result.needed);
                continue;
            }
            if (result.lost) {
                all.push_back(gap);
            }
            for (const message &each : storage.first(result.count)) {
                all.push_back(text_of(each.payload));
            }
            if (!result.more) {
                return all;
            }
        }
    }

    std::unique_ptr<shared_memory> memory_;
};

// The epoch of messages with external numbers.
constexpr std::uint64_t outer = 77;

// A log "room" whose messages have external numbers.
class outer_room_test : public broker_test {
protected:
    outer_room_test() { make(); }

    append_result reset_position(std::uint64_t epoch, std::uint64_t sequence,
                                 bool lost = false)
    {
        return core.reset_position("room", {epoch, sequence}, lost, now);
    }

    // The text of the message is its sequence.
    append_result append_external(std::uint64_t sequence,
                                  std::uint64_t epoch = outer)
    {
        return core.append_external("room",
                                    message_of(std::to_string(sequence), now),
                                    {epoch, sequence}, now);
    }

    void relay_all(std::uint64_t first, std::uint64_t last,
                   std::uint64_t epoch = outer)
    {
        for (std::uint64_t i = first; i <= last; i++) {
            EXPECT_EQ(append_external(i, epoch).result, outcome::done) << i;
        }
    }
};

using texts = std::vector<std::string>;

} // namespace broker_tests
