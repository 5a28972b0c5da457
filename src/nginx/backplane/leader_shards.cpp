// Subscribes to the channels of shards, and passes entries of their logs to
// replicas.
#include "nginx/backplane/leader.hpp"

#include "redis/keys.hpp"

#include <new>

namespace websocket::nginx {

// An unlinked shard is subscribed when it is linked.
void redis_leader::subscribe(unsigned shard)
{
    if (registered_ && redis.linked(shard)) {
        redis.subscribe(shard);
    }
}

void redis_leader::unsubscribe(unsigned shard)
{
    redis.unsubscribe(shard);
    shards_[shard].reader.stop();
}

void redis_leader::on_subscribed(unsigned shard) noexcept
{
    with_oom_restart([this, shard] {
        shard_state &state = shards_[shard];

        if (!leading_ || state.replicas.empty()) {
            return;
        }

        state.reader.on_subscribed();

        // An empty cursor is set before the reply to the first sync
        if (state.reader.begins()) {
            for (const auto &[name, log] : state.replicas) {
                log->start();
            }
        }
    });
}

void redis_leader::on_message(unsigned shard, std::string_view text) noexcept
{
    with_oom_restart([this, shard, text] {
        if (leading_) {
            shards_[shard].reader.on_message(text);
        }
    });
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
