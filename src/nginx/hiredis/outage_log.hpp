// What the log is told of a Redis server that is gone.
#pragma once

#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/core/redis_settings.hpp"

#include <string_view>
#include <utility>

namespace websocket::nginx {

// All connections of this worker have one server: they say once that it is
// gone, and once that it is back.
class redis_outage {
public:
    void began() noexcept { missed_by_++; }

    void goes_on(const redis_settings &settings, bool was_ready,
                 std::string_view why, ngx_uint_t level) noexcept
    {
        if (log_permit permit = line_.allows(); permit) {
            said_ = true;
            write_log(level, ngx_cycle->log, "websocket: %V Redis at %V: %V%V",
                      was_ready ? "lost" : "cannot use", settings.name,
                      unquoted{why}, permit.suppressed());
        }
    }

    void is_over(const redis_settings &settings) noexcept
    {
        forgotten();

        if (missed_by_ == 0 && std::exchange(said_, false)) {
            write_log(NGX_LOG_NOTICE, ngx_cycle->log,
                      "websocket: Redis at %V is back", settings.name);
        }
    }

    // A connection that misses it has been closed.
    void forgotten() noexcept { missed_by_--; }

private:
    log_throttle line_;
    unsigned missed_by_ = 0; // connections
    bool said_ = false;
};

} // namespace websocket::nginx
