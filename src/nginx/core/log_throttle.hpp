// Limits how often a line is written to the error log.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <array>
#include <atomic>

namespace websocket::nginx {

// Whether a line may be written now, and a note for its end: how many lines
// were suppressed since the last one.
class log_permit {
public:
    log_permit() noexcept = default; // denied
    explicit log_permit(ngx_uint_t suppressed) noexcept : granted_{true}
    {
        if (suppressed != 0) {
            const u_char *end =
                ngx_snprintf(note_.data(), note_.size(),
                             "; %ui similar lines suppressed", suppressed);
            size_ = static_cast<std::size_t>(end - note_.data());
        }
    }

    explicit operator bool() const noexcept { return granted_; }

    ngx_str_t suppressed() noexcept { return {size_, note_.data()}; }

private:
    bool granted_ = false;
    std::size_t size_ = 0;
    std::array<u_char, 64> note_;
};

// Permits one line in ten seconds: of this worker, or, if the object is in
// shared memory, of all workers.
class log_throttle {
public:
    // A line that is not permitted is counted as suppressed.
    log_permit allows() noexcept
    {
        const ngx_msec_t now = ngx_current_msec;
        ngx_msec_t next = next_.load(std::memory_order_relaxed);
        const ngx_msec_t wait = next - now;

        if ((wait == 0 || wait > max_wait) &&
            next_.compare_exchange_strong(next, now + interval)) {
            return log_permit{suppressed_.exchange(0)};
        }

        suppressed_.fetch_add(1, std::memory_order_relaxed);
        return {};
    }

private:
    static constexpr ngx_msec_t interval = 10'000;

    // The cached times of two workers differ. A longer wait is a time in the
    // past: the clock wraps on systems of 32 bits.
    static constexpr ngx_msec_t max_wait = 2 * interval;

    // When the next line is permitted, on the monotonic clock of all workers
    std::atomic<ngx_msec_t> next_{0};
    std::atomic<ngx_uint_t> suppressed_{0};
};

} // namespace websocket::nginx
