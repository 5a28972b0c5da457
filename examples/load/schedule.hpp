// When a feed is due: at each multiple of its interval, so that feeds with the
// same interval, or a part of it, share readings.
#pragma once

#include "proc_text.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace load {

using std::chrono::milliseconds;

// Readings are never closer than a step, whatever clients ask for.
inline constexpr milliseconds step{100};
inline constexpr milliseconds longest_interval{60'000};

// Milliseconds from one step to the longest, rounded up to whole steps. Empty
// if the text is anything else.
inline std::optional<milliseconds> parse_interval(std::string_view text)
{
    const bool digits = !text.empty() && text.size() <= 6 &&
                        text.find_first_not_of("0123456789") == text.npos;
    const milliseconds asked(digits ? to_number(text) : 0);

    if (asked < step || asked > longest_interval) {
        return std::nullopt;
    }

    return (asked + step - milliseconds(1)) / step * step;
}

// The time on the clock that timers follow.
inline milliseconds now() noexcept
{
    return std::chrono::duration_cast<milliseconds>(
        std::chrono::steady_clock::now().time_since_epoch());
}

inline milliseconds next_due(milliseconds interval, milliseconds after)
{
    return (after / interval + 1) * interval;
}

inline bool is_due(milliseconds interval, milliseconds at)
{
    return at % interval == milliseconds(0);
}

} // namespace load
