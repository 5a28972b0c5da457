// Subscribes to the channels of shards, and passes entries of their logs to
// replicas.
#include "nginx/backplane/leader.hpp"

#include "redis/keys.hpp"

#include <array>
#include <new>

namespace websocket::nginx {

// Without a link, on_connect() subscribes.
void redis_leader::subscribe(unsigned shard)
{
    if (worker_bus::broker().link_generation() == 0) {
        return;
    }

    const std::string channel = shard_channel(settings_, shard);
    const std::array<std::string_view, 2> args{"SUBSCRIBE", channel};

    // If it fails, the connection is about to end
    (void)subscriber_.command(args, on_channel_reply, this);
}

void redis_leader::unsubscribe(unsigned shard)
{
    const std::string channel = shard_channel(settings_, shard);
    const std::array<std::string_view, 2> args{"UNSUBSCRIBE", channel};

    (void)subscriber_.command(args, nullptr, nullptr);
    shards_[shard].reader.stop();
}

void redis_leader::on_channel_reply(void *data,
                                    const redisReply *reply) noexcept
{
    auto &self = *static_cast<redis_leader *>(data);

    if (reply == nullptr || reply->type != REDIS_REPLY_ARRAY ||
        reply->elements != 3) {
        return;
    }

    const auto parts = list_in(reply);

    self.with_oom_restart([&self, &parts] {
        self.handle_channel_reply(text_in(parts[0]), text_in(parts[1]),
                                  text_in(parts[2]));
    });
}

void redis_leader::handle_channel_reply(std::string_view type,
                                        std::string_view channel,
                                        std::string_view text)
{
    if (!leading_ || !channel.starts_with(settings_.prefix)) {
        return;
    }

    channel.remove_prefix(settings_.prefix.size());

    if (channel.starts_with(redis::heartbeat_prefix)) {
        heartbeat_at_ = 0;
        heartbeat_ = true;
        subscribed_ = true;
        on_connect();
        return;
    }

    const auto number = detail::decimal(
        channel.substr(1, channel.find('}') - 1)); // "{NUMBER}..."

    if (!number || *number >= shards_.size()) {
        return;
    }

    shard_state &shard = shards_[*number];

    if (type == "message") {
        shard.reader.on_message(text);
    } else if (type == "subscribe" && !shard.replicas.empty()) {
        shard.reader.on_subscribed();

        // An empty cursor is set before the reply to the first sync
        if (shard.reader.begins()) {
            for (const auto &[name, log] : shard.replicas) {
                log->start();
            }
        }
    }
}

void redis_leader::on_entry(const redis::log_entry &entry,
                            std::string_view text, broker::message_id id)
{
    if (replica *log = find_replica(entry.name); log != nullptr) {
        log->on_entry(entry, text, id);
    }
}

void redis_leader::on_shard_current(unsigned shard)
{
    for (const auto &[name, log] : shards_[shard].replicas) {
        log->on_shard_current();
    }
}

void redis_leader::on_confirmed(std::string_view name)
{
    if (replica *log = find_replica(name); log != nullptr) {
        log->on_confirmed();
    }
}

void redis_leader::on_shard_loss(unsigned shard, broker::message_id since)
{
    for (const auto &[name, log] : shards_[shard].replicas) {
        log->on_shard_loss(since);
    }
}

void redis_leader::run_callback(shard_reader &reader,
                                const redisReply &reply) noexcept
{
    with_oom_restart([&] {
        if (leading_) {
            reader.on_fetch_reply(reply);
        }
    });
}

} // namespace websocket::nginx
