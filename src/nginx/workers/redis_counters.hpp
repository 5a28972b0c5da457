// What the workers of a host have to do with the other hosts, counted in
// shared memory by all of them.
#pragma once

#include <atomic>
#include <cstdint>

namespace websocket::nginx {

class common_counter {
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

struct backplane_figures {
    common_counter published; // messages that Redis has taken
    common_counter retried;   // of them, sent again after a break
    common_counter failed;    // messages and news that it has not
    common_counter received;  // messages, as they came
    common_counter recovered; // messages, read from the stream later
    common_counter gaps;      // times that messages were not there any more
    common_counter links;     // times that the host got in touch
    std::atomic<std::uint32_t> resources{0}; // that are followed now
};

// Those of this host: only where exchange::running() says so.
backplane_figures &backplane_counts() noexcept;

} // namespace websocket::nginx
