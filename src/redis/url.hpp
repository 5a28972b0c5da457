// The address of a Redis server, parsed from the URL of a directive.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace websocket::redis {

struct server_address {
    bool is_unix = false;
    std::string host; // an IPv6 address without its brackets
    std::uint16_t port = 6379;
    std::string path;     // of the socket, if is_unix
    bool tls = false;     // rediss://
    std::string user;     // empty: Redis's user "default"
    std::string password; // empty: Redis asks for none
    unsigned database = 0;

    // The name for log lines: without user and password.
    std::string name() const;
};

struct parsed_url {
    server_address target;
    std::string fault; // empty: none; never part of a password

    explicit operator bool() const noexcept { return fault.empty(); }
};

// Parses redis://[[user]:password@]host[:port][/db], the same with rediss://,
// or unix:path[?user=..&password=..&db=..]. %XX stands for any character of a
// user, a password or a path. Throws only std::bad_alloc.
parsed_url parse_url(std::string_view url);

} // namespace websocket::redis
