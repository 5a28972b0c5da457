// Handshakes that wait until the host has all present messages.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/workers/control_channel.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <cstdint>
#include <utility>
#include <vector>

namespace websocket::nginx {

class sync_waiters {
public:
    // Throws std::bad_alloc. A waiter gives up by itself after `timeout`.
    void add(std::uint64_t token, ngx_msec_t timeout)
    {
        std::erase_if(waiters_, [timeout](const waiter &each) {
            return ngx_current_msec - each.since > timeout;
        });
        waiters_.push_back({token, ngx_current_msec});
    }

    // Moves the others behind these. Throws std::bad_alloc.
    void append(sync_waiters &others)
    {
        waiters_.insert(waiters_.end(), others.waiters_.begin(),
                        others.waiters_.end());
        others.waiters_.clear();
    }

    // Notifies their workers, and removes them. A leader that has been replaced
    // notifies nobody: its last changes were refused, and the workers have
    // asked the next leader.
    void notify()
    {
        if (!worker_bus::broker().leads()) {
            return;
        }

        for (const waiter &each : std::exchange(waiters_, {})) {
            send_control(worker_log(static_cast<unsigned>(each.token %
                                                          broker::max_slots)),
                         control_event::synced, each.token, {});
        }
    }

    bool empty() const noexcept { return waiters_.empty(); }

private:
    struct waiter {
        std::uint64_t token;
        ngx_msec_t since;
    };

    std::vector<waiter> waiters_;
};

} // namespace websocket::nginx
