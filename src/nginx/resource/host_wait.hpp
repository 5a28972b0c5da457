// Waits until this host has all messages of a resource that Redis had at the
// start.
#pragma once

#include "nginx/backplane/backplane.hpp"
#include "nginx/core/nginx_headers.hpp"

#include <string_view>

namespace websocket::nginx {

// Calls one of the virtual functions once, outside of all other events, unless
// stop() is called before.
class host_wait : backplane::sync_waiter {
public:
    // `log_name` must live as long as the object.
    host_wait(std::string_view log_name, ngx_log_t *log) noexcept;
    host_wait(const host_wait &) = delete;
    host_wait &operator=(const host_wait &) = delete;

    // False: no memory.
    bool start(ngx_msec_t timeout) noexcept;
    void stop() noexcept;

    virtual void on_hosts_synced() noexcept = 0;
    virtual void on_hosts_timeout() noexcept = 0;

protected:
    ~host_wait() { stop(); }

private:
    void on_synced() noexcept override;
    static void on_synced_event(ngx_event_t *event);
    static void on_timeout(ngx_event_t *event);

    ngx_event_t event_{}; // the timer; then posted, when synced
    bool started_ = false;
};

} // namespace websocket::nginx
