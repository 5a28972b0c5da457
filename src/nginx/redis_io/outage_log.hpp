// Logs outages of the Redis server.
#pragma once

#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/core/nginx_headers.hpp"

#include <string_view>
#include <utility>

namespace websocket::nginx {

// An outage of the connections of this worker is logged once, and its end once.
class outage_log {
public:
    void down() noexcept { connections_down_++; }

    void log_down(std::string_view name, bool was_ready,
                  std::string_view reason, ngx_uint_t level) noexcept
    {
        if (log_permit permit = line_.allows(); permit) {
            logged_ = true;
            write_log(level, ngx_cycle->log,
                      "websocket: %V Redis at %V: %V; retrying%V",
                      was_ready ? "lost connection to" : "cannot use", name,
                      unquoted{reason}, permit.suppressed());
        }
    }

    // `peer`: the address of the master that sentinels name, or empty.
    void up(std::string_view name, std::string_view peer) noexcept
    {
        connection_closed();

        if (connections_down_ == 0 && std::exchange(logged_, false)) {
            write_log(NGX_LOG_NOTICE, ngx_cycle->log,
                      "websocket: reconnected to Redis at %V%V%V", name,
                      std::string_view{peer.empty() ? "" : ": the master is "},
                      peer);
        }
    }

    // A connection was closed while it was down.
    void connection_closed() noexcept { connections_down_--; }

private:
    log_throttle line_;
    unsigned connections_down_ = 0; // connections
    bool logged_ = false;
};

} // namespace websocket::nginx
