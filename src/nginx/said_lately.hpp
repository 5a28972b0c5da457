// Keeps a line from flooding the error log.
#pragma once

#include "nginx/nginx_headers.hpp"

#include <atomic>

namespace websocket::nginx {

// One line, which may be said once in ten seconds: by this worker, or in
// shared memory by one of all workers.
class said_lately {
public:
    // Whether it is time to say it; then it is taken for said.
    bool allows() noexcept
    {
        const time_t now = ngx_time();
        time_t next = next_.load(std::memory_order_relaxed);

        return now >= next && next_.compare_exchange_strong(next, now + 10);
    }

private:
    std::atomic<time_t> next_{0};
};

} // namespace websocket::nginx
