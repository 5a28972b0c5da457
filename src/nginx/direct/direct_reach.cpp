// Finds out which hosts may have a target.
#include "nginx/direct/direct_reach.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/direct/client_directory.hpp"
#include "sdk/websocket_text.hpp"

namespace websocket::nginx {

direct_reach reach_of(const direct_target &target)
{
    if (!backplane::enabled()) {
        return {};
    }

    if (target.is_user) {
        return {.other_hosts = true, .host = {}};
    }

    const auto host = client_directory::count(target) != 0
                          ? std::nullopt
                          : backplane::other_host_of(
                                detail::decimal(target.name).value_or(0));

    return {.other_hosts = host.has_value(), .host = host};
}

} // namespace websocket::nginx
