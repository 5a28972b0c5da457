// Runs the script for a request, and parses its reply.
#include "nginx/backplane/publisher.hpp"

#include "nginx/workers/worker_bus.hpp"
#include "redis/keys.hpp"
#include "redis/message.hpp"

#include <algorithm>
#include <array>
#include <new>

namespace websocket::nginx {

namespace {

// At least so many messages are kept for hosts that lose their connection for a
// moment, whatever the history of a resource. Unused resources are kept for
// unused_ttl.
constexpr std::uint64_t min_kept_messages = 128;
constexpr std::uint64_t unused_ttl = broker::unused_log_ttl;
constexpr std::uint64_t history_ttl = 86'400'000; // ms: a day

// Redis accepts no larger numbers, or not exactly.
constexpr std::uint64_t max_kept = std::uint64_t{1} << 52;

std::uint64_t number_in(const redisReply *reply) noexcept
{
    return reply->type == REDIS_REPLY_INTEGER && reply->integer > 0
               ? static_cast<std::uint64_t>(reply->integer)
               : 0;
}

} // namespace

broker::limits stream_limits_of(const broker::limits &history) noexcept
{
    const std::uint64_t age = history.messages == 0 ? 0
                              : history.milliseconds == 0
                                  ? history_ttl
                                  : history.milliseconds;

    return {std::clamp(history.messages, min_kept_messages, max_kept),
            std::min(age, max_kept) + unused_ttl};
}

// Replies of the scripts: the clients; or an id and the clients; or an id,
// which may be empty, the messages and the clients.
publish_outcome redis_publisher::result_of(const redisReply *reply) noexcept
{
    const auto parts = list_in(reply);
    publish_outcome result;

    if (reply->type == REDIS_REPLY_INTEGER) {
        result.done = true;
        result.clients = static_cast<std::uint32_t>(number_in(reply));
    }

    if (parts.size() == 2 || parts.size() == 3) {
        const auto id = redis::parse_message_id(text_in(parts[0]));

        result.done = id || (parts.size() == 3 && text_in(parts[0]).empty());
        result.id = id.value_or(broker::message_id{});
        result.messages = parts.size() == 3 ? number_in(parts[1]) : 0;
        result.clients = static_cast<std::uint32_t>(number_in(parts.back()));
    }

    return result;
}

bool redis_publisher::send(const entry &next) noexcept
try {
    if (!redis_.ready()) {
        return false;
    }

    switch (next.request_kind) {
    case publish_kind::stored:
        return send_stored(next);
    case publish_kind::transient:
        return send_transient(next);
    case publish_kind::query:
        break;
    }

    return send_query(next);
} catch (const std::bad_alloc &) {
    return false;
}

bool redis_publisher::send_stored(const entry &next)
{
    const broker::description known =
        worker_bus::broker().describe(next.name, worker_bus::now());
    const broker::message_id last =
        known.external ? known.last : broker::message_id{};
    const broker::limits limits =
        stream_limits_of(known.exists ? known.history : next.history);
    const std::array<std::string, 4> keys{
        redis::position_key(next.name), redis::stream_key(next.name),
        redis::clients_key(next.name), redis::published_key(worker_id_)};
    const std::string channel =
        redis_.settings().prefix + redis::channel(next.name);
    const std::string kind = std::to_string(next.kind);
    const std::string from = std::to_string(next.from);
    const std::string number = std::to_string(next.number);
    const std::string kept = std::to_string(limits.messages);
    const std::string expiry = std::to_string(limits.milliseconds);
    const std::string epoch = std::to_string(last.epoch);
    const std::string sequence = std::to_string(last.sequence);
    const std::string known_run = std::to_string(known.run);
    const std::string run = std::to_string(redis_.run_id_hash());
    const std::array<std::string_view, 13> arguments{
        channel,
        kind,
        from,
        next.payload,
        kept,
        expiry,
        next.counts_clients ? "1" : "0",
        number,
        worker_bus::zone().host.uid(),
        epoch,
        sequence,
        known_run,
        run};

    return redis_.run({redis::script::publish, keys, arguments}, on_reply,
                      this);
}

// Also sends the present number of clients of this host, so that those who
// learn of a joined or left client see it counted.
bool redis_publisher::send_transient(const entry &next)
{
    const shared_zone &zone = worker_bus::zone();
    const broker::description known =
        worker_bus::broker().describe(next.name, worker_bus::now());
    const std::array<std::string, 3> keys{
        redis::clients_key(next.name),
        redis::host_resources_key(zone.host.uid()), redis::hosts_key()};
    const std::string channel =
        redis_.settings().prefix + redis::channel(next.name);
    const std::string uid = std::string(zone.host.uid());
    const std::string clients =
        known.exists ? std::to_string(known.local_clients) : "";
    const std::string text =
        redis::transient_message(next.kind, next.from, next.payload);
    const std::array<std::string_view, 6> arguments{channel,   uid, clients,
                                                    next.name, "0", text};

    return redis_.run({redis::script::notify, keys, arguments}, on_reply, this);
}

bool redis_publisher::send_query(const entry &next)
{
    const std::array<std::string, 3> keys{redis::position_key(next.name),
                                          redis::stream_key(next.name),
                                          redis::clients_key(next.name)};
    const std::string age = std::to_string(next.history.milliseconds);
    const std::string max_messages = std::to_string(next.history.messages);
    const std::array<std::string_view, 3> arguments{
        age, max_messages, worker_bus::zone().host.uid()};

    return redis_.run({redis::script::describe, keys, arguments}, on_reply,
                      this);
}

} // namespace websocket::nginx
