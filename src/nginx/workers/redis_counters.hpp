// What the workers of a host have to do with the other hosts, counted in
// shared memory by all of them.
#pragma once

#include <atomic>
#include <cstdint>

namespace websocket::nginx {

class shared_counter {
public:
    void add(std::uint64_t more) noexcept
    {
        value_.fetch_add(more, std::memory_order_relaxed);
    }
    std::uint64_t get() const noexcept
    {
        return value_.load(std::memory_order_relaxed);
    }

private:
    std::atomic<std::uint64_t> value_{0};
};

struct redis_counters {
    shared_counter published; // messages that Redis has taken
    shared_counter retried;   // of them, sent again after a break
    shared_counter failed;    // messages and news that it has not
    shared_counter received;  // messages, as they came
    shared_counter recovered; // messages, read from the stream later
    shared_counter gaps;      // times that messages were not there any more
    shared_counter connects;  // times that the host got in touch
    std::atomic<std::uint32_t> resources{0}; // that are followed now
};

// Those of this host: only where worker_bus::running() says so.
redis_counters &host_redis_counters() noexcept;

} // namespace websocket::nginx
