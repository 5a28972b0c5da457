// A call of a script that uses the log of a shard.
#pragma once

#include "nginx/redis_nodes/router.hpp"

#include <span>
#include <string>
#include <string_view>

namespace websocket::nginx {

// The keys and arguments after those that all such scripts have: borrowed.
struct shard_call {
    redis::script script;
    unsigned shard;
    std::span<const std::string> keys;
    std::span<const std::string_view> arguments;
};

// As shard_router::run. Throws std::bad_alloc.
bool run(shard_router &redis, const shard_call &call, reply_callback callback,
         void *data);

} // namespace websocket::nginx
