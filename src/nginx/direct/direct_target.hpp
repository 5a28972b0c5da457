// One client or one user of a handler, to which a message is sent.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace websocket::nginx {

struct direct_target {
    std::string_view handler; // its name
    std::string_view key;     // of the resource; empty: any
    bool is_user;             // else `name` is the id of a client
    std::string_view name;
};

// Scopes of the broker's members. The names of handlers contain no "@" and no
// "#". All throw std::bad_alloc.

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

// The scope and the member in which a target is found.
inline std::string scope_of(const direct_target &target)
{
    return target.is_user       ? users_of(target.handler, target.key)
           : target.key.empty() ? clients_of(target.handler)
                                : clients_of(target.handler).append(target.key);
}

} // namespace websocket::nginx
