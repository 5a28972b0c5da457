// Adds the keys and arguments that all scripts of a shard have.
#include "nginx/backplane/shard_call.hpp"

#include "nginx/workers/worker_bus.hpp"
#include "redis/keys.hpp"

#include <array>

namespace websocket::nginx {

bool run(shard_router &redis, const shard_call &call, reply_callback callback,
         void *data)
{
    const broker::log_cursor cursor = worker_bus::broker().cursor(call.shard);
    const std::string channel = redis.channel(call.shard);
    const std::string epoch = std::to_string(cursor.last.epoch);
    const std::string sequence = std::to_string(cursor.last.sequence);
    const std::string cursor_run = std::to_string(cursor.run);
    const std::string present_run =
        std::to_string(redis.run_id_hash(call.shard));
    const std::array<std::string, 2> keys{redis::log_position_key(call.shard),
                                          redis::log_key(call.shard)};
    const std::array<std::string_view, 6> arguments{
        channel,    epoch,       sequence,
        cursor_run, present_run, worker_bus::zone().host.uid()};

    return redis.run(call.shard,
                     {call.script, call.keys, call.arguments, keys, arguments},
                     callback, data);
}

} // namespace websocket::nginx
