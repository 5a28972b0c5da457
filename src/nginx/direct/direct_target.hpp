// One client or one user of a handler, to which a message is sent.
#pragma once

#include "broker/member_types.hpp"
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

// For a list of the users that are greater than a text of any length. No user
// is longer, so the rest of the text does not change which ones are.
inline direct_target users_after(std::string_view handler, std::string_view key,
                                 std::string_view text) noexcept
{
    return {handler, key, true, text.substr(0, broker::max_user_size)};
}

// The scope in which a target is found. Throws std::bad_alloc.
inline std::string scope_of(const direct_target &target)
{
    return target.is_user       ? users_of(target.handler, target.key)
           : target.key.empty() ? clients_of(target.handler)
                                : clients_of(target.handler).append(target.key);
}

} // namespace websocket::nginx
