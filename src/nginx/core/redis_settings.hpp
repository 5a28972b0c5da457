// What the directive websocket_redis says.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "redis/url.hpp"

#include <string>
#include <vector>

namespace websocket::nginx {

// Lives in the configuration's pool, as long as the configuration.
struct redis_settings {
    broker::redis_target target;
    std::string name; // of the target, for log lines

    std::string prefix = "ws:";
    ngx_msec_t connect_timeout = 2000;
    ngx_msec_t command_timeout = 2000;
    std::size_t queue = 1024 * 1024; // bytes

    // IP addresses as the configuration found them; none for a unix socket.
    std::vector<std::string> addresses;
    ngx_resolver_t *resolver = nullptr; // null: those are all there is

    std::string file; // where the directive is
    ngx_uint_t line = 0;
};

} // namespace websocket::nginx
