// The settings of the directive websocket_redis.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "redis/url.hpp"

#include <string>
#include <vector>

namespace websocket::nginx {

// Lives in the configuration's pool, as long as the configuration.
struct redis_settings {
    redis::server_address target;
    std::string name; // of the target, for log lines

    std::string prefix = "ws:";
    ngx_msec_t connect_timeout = 2000;
    ngx_msec_t command_timeout = 2000;
    std::size_t queue = 1024 * 1024; // bytes

    // As resolved with the configuration; none for a unix socket.
    std::vector<std::string> addresses;
    ngx_resolver_t *resolver = nullptr; // null: use `addresses`

    std::string file; // position of the directive
    ngx_uint_t line = 0;
};

} // namespace websocket::nginx
