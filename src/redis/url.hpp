// The address of a Redis server, read from the words of a directive.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace websocket::redis {

struct server_address {
    bool is_unix = false;
    std::string host; // an IPv6 address without its brackets
    std::uint16_t port = 6379;
    std::string path;     // of the socket, with is_unix
    std::string user;     // empty: Redis's user "default"
    std::string password; // empty: Redis asks for none
    unsigned database = 0;

    // What a log line may name it by: no user, no password.
    std::string name() const;
};

struct parsed_url {
    server_address target;
    std::string fault; // empty: none; without what may be a password

    explicit operator bool() const noexcept { return fault.empty(); }
};

// redis://[[user]:password@]host[:port][/db], or
// unix:path[?user=..&password=..&db=..], with %XX for any character of
// a user, a password and a path. Throws only std::bad_alloc.
parsed_url parse_url(std::string_view url);

} // namespace websocket::redis
