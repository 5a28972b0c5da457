// The address of a Redis server, of the sentinels that know it, or of nodes of
// a cluster.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace websocket::redis {

struct server_address {
    bool is_unix = false;
    std::string host; // an IPv6 address without its brackets
    std::uint16_t port = 6379;
    std::string path;     // of the socket, if is_unix
    bool tls = false;     // rediss://, sentinels://, clusters://
    std::string user;     // empty: Redis's user "default"
    std::string password; // empty: Redis asks for none
    unsigned database = 0;

    // With sentinels the server is their master of this name, and has no host.
    std::string master;
    std::vector<server_address> sentinels;

    // Some nodes of the cluster, which has no host of its own.
    std::vector<server_address> nodes;

    // The name for log lines: without user, password and database.
    std::string name() const;
};

// Whether both are the same database of the same server. Lists of sentinels
// have the same master if they have a sentinel in common, and lists of nodes
// are of one cluster if they have a node in common.
bool same_database(const server_address &one, const server_address &other);

} // namespace websocket::redis
