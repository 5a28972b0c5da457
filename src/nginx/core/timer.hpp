// Timers that belong to no connection.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

// nginx's debug log shows the socket of the connection that a timer's `data`
// refers to: -1 here.
inline ngx_connection_t dummy_connection = [] {
    ngx_connection_t connection{};

    connection.fd = -1;
    return connection;
}();

// `cancelable`: the timer does not delay a graceful shutdown.
inline void init_timer(ngx_event_t &timer, ngx_event_handler_pt handler,
                       ngx_log_t *log, bool cancelable = true) noexcept
{
    timer.data = &dummy_connection;
    timer.handler = handler;
    timer.log = log;
    timer.cancelable = cancelable ? 1 : 0;
}

} // namespace websocket::nginx
