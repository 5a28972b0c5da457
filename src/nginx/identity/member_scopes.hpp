// Names of the broker's scopes for clients and users. The names of handlers
// contain no "@" and no "#". All throw std::bad_alloc.
#pragma once

#include <string>
#include <string_view>

namespace websocket::nginx {

// The users of a handler.
inline std::string users_of(std::string_view handler)
{
    return std::string(handler).append("@");
}

// The users of a resource of a handler.
inline std::string users_of(std::string_view handler, std::string_view key)
{
    return std::string(handler).append("@").append(key);
}

// The ids of a handler's clients.
inline std::string clients_of(std::string_view handler)
{
    return std::string(handler).append("#");
}

} // namespace websocket::nginx
