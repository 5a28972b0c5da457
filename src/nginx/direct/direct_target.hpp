// One client or one user of a handler, to which a message is sent.
#pragma once

#include "nginx/identity/member_scopes.hpp"

#include <string>
#include <string_view>

namespace websocket::nginx {

struct direct_target {
    std::string_view handler; // its name
    std::string_view key;     // of the resource; empty: any
    bool is_user;             // else `name` is the id of a client
    std::string_view name;
};

// The scope in which a target is found. Throws std::bad_alloc.
inline std::string scope_of(const direct_target &target)
{
    return target.is_user       ? users_of(target.handler, target.key)
           : target.key.empty() ? clients_of(target.handler)
                                : clients_of(target.handler).append(target.key);
}

} // namespace websocket::nginx
