// Limits the work of one session before the others get their turn, whatever
// its client sends. Work is estimated in bytes, which costs next to nothing;
// the clock is read only after much of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>

namespace websocket::nginx {

class turn {
public:
    // Counted for a message or a control frame beside its bytes, as a call of a
    // handler costs more than they do.
    static constexpr std::size_t message_cost = 2048;

    // Work before the clock is first read, and between two readings. Inflating
    // and compressing take longer than their bytes suggest: such a turn begins
    // with the clock.
    static constexpr std::size_t unit = 64 * 1024;

    void begin() noexcept
    {
        left_ = unit;
        began_ = 0;
    }

    [[gnu::cold, gnu::noinline]] void begin_with_clock() noexcept
    {
        left_ = unit;
        began_ = read_clock();
    }

    void spend(std::size_t work) noexcept
    {
        left_ -= static_cast<std::ptrdiff_t>(work);
    }

    // Ends the turn, whatever is left of it.
    [[gnu::cold]] void end() noexcept
    {
        left_ = -1;
        began_ = -1;
    }

    // Whether over() should be asked.
    bool unit_spent() const noexcept { return left_ < 0; }

    // Whether the other sessions must get their turn.
    bool over() noexcept { return left_ < 0 && is_late(); }

private:
    static constexpr std::int64_t max_nanoseconds = 500'000;

    static std::int64_t read_clock() noexcept
    {
        timespec now{};

        clock_gettime(CLOCK_MONOTONIC, &now);
        return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
    }

    [[gnu::cold, gnu::noinline]] bool is_late() noexcept
    {
        if (began_ < 0) {
            return true;
        }

        const std::int64_t time = read_clock();

        if (began_ == 0) {
            began_ = time;
        } else if (time - began_ >= max_nanoseconds) {
            began_ = -1; // stays over
            return true;
        }

        left_ = unit;
        return false;
    }

    std::ptrdiff_t left_ = unit;
    std::int64_t began_ = 0; // 0: clock not read yet; -1: over
};

} // namespace websocket::nginx
