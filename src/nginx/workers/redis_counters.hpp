// Counters of the traffic with other hosts over Redis, in shared memory.
#pragma once

#include <atomic>
#include <cstdint>

namespace websocket::nginx {

// All workers of the host add to it.
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
    shared_counter published;   // messages that Redis stored
    shared_counter retried;     // of them, sent again after a lost connection
    shared_counter failed;      // messages and events that it did not store
    shared_counter received;    // messages of a channel
    shared_counter recovered;   // messages read from the stream instead
    shared_counter gaps;        // times that the stream had lost messages
    shared_counter direct_sent; // for single clients and users: requests
    shared_counter direct_received; // the same, of other hosts
    shared_counter direct_failed;   // sent, and refused or without an answer
    shared_counter connects;        // times that the leader connected
    std::atomic<std::uint32_t> resources{0}; // subscribed in Redis now
};

// The counters of this host. Requires worker_bus::running().
redis_counters &host_redis_counters() noexcept;

} // namespace websocket::nginx
