// Looks for hosts with an earlier version of the module.
#include "nginx/redis_nodes/earlier_hosts.hpp"

#include "nginx/core/log_line.hpp"
#include "nginx/redis_io/replies.hpp"

#include <string_view>
#include <utility>

namespace websocket::nginx {

namespace {

// Those versions knew no cluster, so any node is the server.
constexpr unsigned any_shard = 0;

// A pattern that matches the text alone.
std::string escaped(std::string_view text)
{
    std::string pattern;

    for (const char each : text) {
        pattern.append("\\").push_back(each);
    }

    return pattern;
}

} // namespace

earlier_hosts::earlier_hosts(shard_router &redis)
    : redis_{redis}, set_{redis.settings().prefix + "hosts"},
      channels_{escaped(redis.settings().prefix) + "b:*"}
{}

void earlier_hosts::look() noexcept
{
    const std::string_view args[] = {"EXISTS", set_};

    if (!redis_.settings().in_cluster()) {
        (void)redis_.command(any_shard, args, on_set, this);
    }
}

// The set of a host that died remains for a day. Its channel does not, but is
// the same in all databases.
void earlier_hosts::on_set(void *data, const redisReply *reply) noexcept
{
    auto &self = *static_cast<earlier_hosts *>(data);
    const std::string_view args[] = {"PUBSUB", "CHANNELS", self.channels_};

    if (reply == nullptr || reply->type != REDIS_REPLY_INTEGER ||
        reply->integer == 0) {
        self.logged_ = self.logged_ && reply == nullptr;
        return;
    }

    (void)self.redis_.command(any_shard, args, on_channels, data);
}

void earlier_hosts::on_channels(void *data, const redisReply *reply) noexcept
{
    auto &self = *static_cast<earlier_hosts *>(data);
    const std::size_t found = list_in(reply).size();

    if (reply == nullptr || found == 0) {
        return;
    }

    if (!std::exchange(self.logged_, true)) {
        write_log(NGX_LOG_WARN, ngx_cycle->log,
                  "websocket: %uz hosts with an earlier version of the module "
                  "use the same Redis and prefix: their rooms are apart from "
                  "those of this host; upgrade them or use another prefix",
                  found);
    }
}

} // namespace websocket::nginx
