// How many messages one client may send: a leaky bucket in integers. It has no
// clock: the caller says what time it is.
#pragma once

#include <cstdint>

namespace websocket::protocol {

// A message fills in a number of parts, each millisecond lets some leak. There
// are as many parts as milliseconds in a minute, so that one message per
// minute and one per second both leak whole parts.
class rate_limit {
public:
    static constexpr std::uint32_t max = 1000000; // messages, of each kind

    // `burst` is how many may come at once beyond the steady rate. A rate is
    // from 1 to `most`, a burst from 0.
    static rate_limit per_second(std::uint32_t messages,
                                 std::uint32_t burst) noexcept
    {
        return {std::uint64_t{messages} * 60, burst};
    }
    static rate_limit per_minute(std::uint32_t messages,
                                 std::uint32_t burst) noexcept
    {
        return {messages, burst};
    }

private:
    friend class rate_limiter;

    static constexpr std::uint64_t parts = 60000;

    rate_limit(std::uint64_t leak, std::uint32_t burst) noexcept
        : leak_{leak}, capacity_{burst * parts}
    {}

    std::uint64_t leak_; // parts in a millisecond
    std::uint64_t
        capacity_; // parts that may still be there when a message comes
};

// What one client has sent.
class rate_limiter {
public:
    // Counts a message at a time in milliseconds; false, and it does not count,
    // if it is one too many. A time before the last one passes for that.
    bool take(const rate_limit &rate, std::uint64_t now) noexcept;

private:
    std::uint64_t level_ = 0;
    std::uint64_t last_ = 0;
};

} // namespace websocket::protocol
