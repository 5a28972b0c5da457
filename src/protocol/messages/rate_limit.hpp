// A limit on the message rate of one client: a leaky bucket in integers. It
// reads no clock: the caller passes the time.
#pragma once

#include <cstdint>

namespace websocket::protocol {

// A message adds a number of parts to the level; each millisecond some leak.
// One message is as many parts as a minute has milliseconds. So rates per
// minute and per second both leak whole parts.
class rate_limit {
public:
    // messages: of a rate, and of a burst
    static constexpr std::uint32_t max = 1000000;

    // `burst` is the number of messages accepted at once beyond the steady
    // rate. A rate is 1 to `max`, a burst 0 to `max`.
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

    std::uint64_t leak_; // parts per millisecond
    std::uint64_t
        capacity_; // the highest level at which a message is accepted, in parts
};

// The level of one client.
class rate_limiter {
public:
    // Counts a message at a time in milliseconds. False: it exceeds the limit
    // and does not count. A time before the last one is taken for the last one.
    bool take(const rate_limit &rate, std::uint64_t now) noexcept;

private:
    std::uint64_t level_ = 0;
    std::uint64_t last_ = 0;
};

} // namespace websocket::protocol
