// Parses the URL of a Redis server, of its sentinels, or of a cluster.
#pragma once

#include "redis/server_address.hpp"

#include <string>
#include <string_view>

namespace websocket::redis {

struct parsed_url {
    server_address target;
    std::string fault; // empty: none; never part of a password

    explicit operator bool() const noexcept { return fault.empty(); }
};

// Parses redis://[[user]:password@]host[:port][/db],
// sentinel://[[user]:password@]host[:port][,host[:port]...]/master[/db],
// cluster://[[user]:password@]host[:port][,host[:port]...], the same with
// rediss://, sentinels:// and clusters://, or
// unix:path[?user=..&password=..&db=..]. %XX stands for any character of a
// user, a password or a path. Throws only std::bad_alloc.
parsed_url parse_url(std::string_view url);

} // namespace websocket::redis
