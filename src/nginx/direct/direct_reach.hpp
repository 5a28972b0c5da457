// The hosts on which a target may have clients.
#pragma once

#include "nginx/direct/direct_target.hpp"

#include <cstdint>
#include <optional>

namespace websocket::nginx {

struct direct_reach {
    bool other_hosts = false;          // else only this one
    std::optional<std::uint64_t> host; // the id prefix of the only one
};

// A client is on the host that gave it its id. No host knows which others have
// a user: an index in Redis would cost a command for each user that comes or
// goes, and a repair after each loss. So all are asked. Throws std::bad_alloc.
direct_reach reach_of(const direct_target &target);

} // namespace websocket::nginx
