// The settings of the directive websocket_redis.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "redis/url.hpp"

#include <string>
#include <vector>

namespace websocket::nginx {

// An address that a connection can be opened to.
struct redis_peer {
    ngx_sockaddr_t address;
    socklen_t size = 0;
    std::string text; // without the port, for log lines
};

// Lives in the configuration's pool, as long as the configuration.
struct redis_settings {
    redis::server_address target;
    std::string name; // of the target, for log lines

    std::string prefix = "ws:";
    ngx_msec_t connect_timeout = 2000;
    ngx_msec_t command_timeout = 2000;
    std::size_t queue = 1024 * 1024; // bytes

    // The addresses of the target when the configuration was read
    std::vector<redis_peer> peers;
    ngx_resolver_t *resolver = nullptr; // null: use `peers`

    ngx_ssl_t *tls = nullptr; // null: a connection without TLS
    bool verify = true;       // the certificate of the server
    std::string server_name;  // that it must have; empty: the host

    std::string file; // position of the directive
    ngx_uint_t line = 0;
};

} // namespace websocket::nginx
