// Counters of the events that a worker sends to HTTP backends.
#pragma once

#include "nginx/workers/single_writer.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace websocket::nginx::counters {

// Why an event has failed.
enum class event_failure : std::uint8_t {
    status,     // not 2xx
    timeout,    // no whole answer in time
    unfinished, // the answer broke off, or there was none
    invalid,    // an answer that breaks the rules
    memory,     // no memory or no free connection
    count
};

inline constexpr auto event_failures =
    static_cast<std::size_t>(event_failure::count);

// As the status shows them.
inline constexpr std::array<std::string_view, event_failures> failure_names{
    "status", "timeout", "unfinished", "invalid", "memory"};

// The upper bounds of the histogram of latency, in milliseconds. One more
// counter is for all that took longer.
inline constexpr std::array<std::uint32_t, 12> latency_bounds{
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 30000};

// All zero when the memory is created.
struct http_counters {
    counter events;       // sent
    counter milliseconds; // from sending to the end, of all that have ended
    std::array<counter, event_failures> failed;
    std::array<counter, latency_bounds.size() + 1> latency;

    single_writer<std::uint32_t> out;
    single_writer<std::uint32_t> waiting;

    void end(std::uint64_t lasted) noexcept
    {
        const auto *bound =
            std::lower_bound(latency_bounds.begin(), latency_bounds.end(),
                             static_cast<std::uint32_t>(lasted));

        out.add(UINT32_MAX);
        milliseconds.add(lasted);
        latency[static_cast<std::size_t>(bound - latency_bounds.begin())].add(
            1);
    }

    void fail(event_failure why) noexcept
    {
        failed[static_cast<std::size_t>(why)].add(1);
    }
};

} // namespace websocket::nginx::counters
