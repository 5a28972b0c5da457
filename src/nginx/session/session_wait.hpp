// A client that was accepted while Redis is away waits until this host has all
// messages of its resource.
#pragma once

#include "nginx/resource/host_wait.hpp"

namespace websocket::nginx {

class session;

class session_wait final : public host_wait {
public:
    session_wait(session &to, std::string_view log_name,
                 ngx_log_t *log) noexcept
        : host_wait{log_name, log}, session_{to}
    {}

private:
    void on_hosts_synced() noexcept override;
    void on_hosts_timeout() noexcept override;

    session &session_;
};

} // namespace websocket::nginx
