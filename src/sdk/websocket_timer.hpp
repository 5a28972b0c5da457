// Timers of a resource. Included by websocket.hpp, whose rules apply.
#pragma once

#include "websocket_detail.hpp"

#include <memory>
#include <utility>

namespace websocket {

// A handle to a timer, or empty. Destroying the handle does not stop the timer.
// It may outlive the resource; then it does nothing.
class timer {
public:
    timer() noexcept = default;
    explicit timer(std::weak_ptr<detail::timer_list::entry> started) noexcept
        : entry_{std::move(started)}
    {}

    // Stops the timer if it is active, even in its own callback.
    void cancel() noexcept
    {
        if (const auto started = entry_.lock(); started && started->handle) {
            detail::timer_list::stop(*started);
        }
    }

    // True if the timer will fire, or fire again.
    bool active() const noexcept
    {
        const auto started = entry_.lock();
        return started && started->handle != nullptr;
    }

private:
    std::weak_ptr<detail::timer_list::entry> entry_;
};

} // namespace websocket
