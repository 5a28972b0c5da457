// A number in shared memory that one process writes and all may read.
#pragma once

#include <atomic>
#include <cstdint>

namespace websocket::nginx::counters {

// No locked instruction is needed.
template <class number>
class single_writer {
public:
    void add(number more) noexcept { set(get() + more); }
    void set(number value) noexcept
    {
        value_.store(value, std::memory_order_relaxed);
    }
    number get() const noexcept
    {
        return value_.load(std::memory_order_relaxed);
    }

private:
    std::atomic<number> value_{0};
};

using counter = single_writer<std::uint64_t>;

} // namespace websocket::nginx::counters
