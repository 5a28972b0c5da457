// Counts the fault points that are passed while the broker's lock is held.
#pragma once

#include "broker/fault_point.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>

namespace broker_tests {

// Only one counter may exist at a time.
class fault_counter {
public:
    fault_counter() : before_{websocket::broker::set_fault_hook(count)}
    {
        in_this_hold.clear();
        max_in_a_hold.clear();
        holds_counted = 0;
    }
    ~fault_counter() { websocket::broker::set_fault_hook(before_); }
    fault_counter(const fault_counter &) = delete;
    fault_counter &operator=(const fault_counter &) = delete;

    // The largest number in one hold of the lock.
    std::size_t max(std::string_view name) const
    {
        const auto found = max_in_a_hold.find(std::string(name));

        return found != max_in_a_hold.end() ? found->second : 0;
    }
    std::size_t holds() const { return holds_counted; }

private:
    static void count(const char *name) noexcept
    {
        if (std::string_view(name) == "lock.taken") {
            in_this_hold.clear();
            holds_counted++;
            return;
        }

        std::size_t &max = max_in_a_hold[name];

        max = std::max(max, ++in_this_hold[name]);
    }

    static inline std::map<std::string, std::size_t> in_this_hold;
    static inline std::map<std::string, std::size_t> max_in_a_hold;
    static inline std::size_t holds_counted = 0;

    websocket::broker::fault_hook before_;
};

} // namespace broker_tests
