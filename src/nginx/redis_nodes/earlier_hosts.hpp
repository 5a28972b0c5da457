// Looks for hosts with an earlier version of the module, whose rooms are apart.
#pragma once

#include "nginx/redis_nodes/router.hpp"

#include <string>

namespace websocket::nginx {

// Before the shards, the uids of all hosts were in one sorted set, and each
// host that was connected had a channel.
class earlier_hosts {
public:
    // The router must outlive it, and its replies. Throws std::bad_alloc.
    explicit earlier_hosts(shard_router &redis);

    // Logs a warning if there are some, once until there are none.
    void look() noexcept;

private:
    static void on_set(void *data, const redisReply *reply) noexcept;
    static void on_channels(void *data, const redisReply *reply) noexcept;

    shard_router &redis_;
    const std::string set_;
    const std::string channels_; // a pattern
    bool logged_ = false;
};

} // namespace websocket::nginx
