// The settings of the directive websocket_redis.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "redis/server_address.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace websocket::nginx {

// An address that a connection can be opened to.
struct redis_peer {
    ngx_sockaddr_t address;
    socklen_t size = 0;
    std::string host; // its certificate has this name
    std::string text; // for log lines: without the port, unless it is a master

    // With sentinels, the version of the configuration that names this master
    std::uint64_t epoch = 0;
};

// A server that a connection is for.
struct redis_target {
    redis::server_address address;
    std::string name; // of the address, for log lines

    // Found when the configuration was read; none of a master of sentinels, nor
    // of nodes that a cluster names
    std::vector<redis_peer> peers;
};

// Lives in the configuration's pool, as long as the configuration.
struct redis_settings {
    redis_target server;
    std::vector<redis_target> sentinels; // of the server; empty: none
    std::vector<redis_target> nodes;     // of the cluster; empty: no cluster

    bool in_cluster() const noexcept { return !nodes.empty(); }

    std::string prefix = "ws:";
    ngx_msec_t connect_timeout = 2000;
    ngx_msec_t command_timeout = 2000;
    ngx_msec_t wait = 30'000;        // of accepted clients; 0: they are refused
    std::size_t queue = 1024 * 1024; // bytes

    ngx_resolver_t *resolver = nullptr; // null: use the peers of the targets

    ngx_ssl_t *tls = nullptr; // null: a connection without TLS
    bool verify = true;       // the certificate of the server
    std::string server_name;  // that it must have; empty: the host

    std::string file; // position of the directive
    ngx_uint_t line = 0;
};

} // namespace websocket::nginx
