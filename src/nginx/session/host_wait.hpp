// A client that was accepted while Redis is away waits until this host has all
// messages of its resource.
#pragma once

#include "nginx/backplane/backplane.hpp"
#include "nginx/core/nginx_headers.hpp"

#include <string_view>

namespace websocket::nginx {

class session;

// Calls on_hosts_synced() or on_hosts_timeout() of the session once, outside of
// all other events, unless stop() is called before.
class host_wait final : backplane::sync_waiter {
public:
    host_wait(session &to, std::string_view log_name, ngx_log_t *log) noexcept;
    host_wait(const host_wait &) = delete;
    host_wait &operator=(const host_wait &) = delete;
    ~host_wait() { stop(); }

    // False: no memory.
    bool start(ngx_msec_t timeout) noexcept;
    void stop() noexcept;

private:
    void on_synced() noexcept override;
    static void on_synced_event(ngx_event_t *event);
    static void on_timeout(ngx_event_t *event);

    session &session_;
    ngx_event_t event_{}; // the timer; then posted, when synced
    bool started_ = false;
};

} // namespace websocket::nginx
