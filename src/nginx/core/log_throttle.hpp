// Keeps a line from flooding the error log.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <array>
#include <atomic>

namespace websocket::nginx {

// Whether a line may be said now, and words for its end: how many like it were
// left out since the last one.
class log_permit {
public:
    log_permit() noexcept = default; // not now
    explicit log_permit(ngx_uint_t suppressed) noexcept : granted_{true}
    {
        if (suppressed != 0) {
            const u_char *end = ngx_snprintf(
                words_.data(), words_.size(),
                "; %ui such lines were left out before", suppressed);
            size_ = static_cast<std::size_t>(end - words_.data());
        }
    }

    explicit operator bool() const noexcept { return granted_; }

    ngx_str_t suppressed() noexcept { return {size_, words_.data()}; }

private:
    bool granted_ = false;
    std::size_t size_ = 0;
    std::array<u_char, 64> words_;
};

// One line, which may be said once in ten seconds: by this worker, or in
// shared memory by one of all workers.
class log_throttle {
public:
    // If it is time to say it, it is taken for said; else it is counted.
    log_permit allows() noexcept
    {
        const time_t now = ngx_time();
        time_t next = next_.load(std::memory_order_relaxed);

        if (now >= next && next_.compare_exchange_strong(next, now + 10)) {
            return log_permit{left_out_.exchange(0)};
        }

        left_out_.fetch_add(1, std::memory_order_relaxed);
        return {};
    }

private:
    std::atomic<time_t> next_{0};
    std::atomic<ngx_uint_t> left_out_{0};
};

} // namespace websocket::nginx
