// Keeps both connections to the same server.
#include "nginx/redis_nodes/node.hpp"

#include <utility>

namespace websocket::nginx {

redis_node::redis_node(const redis_settings &settings, redis_target target,
                       redis_node::owner &holder)
    : target_{std::move(target)}, owner_{holder}, commands_{settings, target_,
                                                            *this},
      channels_{settings, target_, *this, redis_connection::role::subscriber}
{}

redis_node::~redis_node()
{
    channels_.close();
    commands_.close();
}

void redis_node::retry_now() noexcept
{
    commands_.retry_now();
    channels_.retry_now();
}

void redis_node::on_commands_ready() noexcept
{
    owner_.on_node_ready(*this);
}

// The other connection may still be to a server that has been replaced.
void redis_node::on_commands_lost() noexcept
{
    channels_.restart("the command connection was lost");
    owner_.on_node_lost(*this);
}

void redis_node::on_redis_ready() noexcept
{
    owner_.on_channels_ready(*this);
}

void redis_node::on_redis_lost(std::string_view) noexcept
{
    owner_.on_channels_lost(*this);
}

} // namespace websocket::nginx
