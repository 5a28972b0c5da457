// A call of a script that uses the log of a shard.
#pragma once

#include "nginx/redis_io/script_runner.hpp"

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

// As script_runner::run. Throws std::bad_alloc.
bool run(script_runner &redis, const shard_call &call, reply_callback callback,
         void *data);

// The channel of the shard, with the prefix. Throws std::bad_alloc.
std::string shard_channel(const redis_settings &settings, unsigned shard);

} // namespace websocket::nginx
