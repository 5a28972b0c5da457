// What an order asks of Redis, and what is read in the answer.
#include "nginx/backplane/publisher.hpp"

#include "nginx/workers/worker_bus.hpp"
#include "redis/message.hpp"

#include <algorithm>
#include <array>
#include <new>

namespace websocket::nginx {

namespace {

// So many of the last messages are kept for hosts that lose touch for a
// moment, whatever history a resource has; and what nobody uses for so long.
constexpr std::uint64_t kept_for_hosts = 128;
constexpr std::uint64_t kept_unused = broker::unused_log_ttl;
constexpr std::uint64_t kept_history = 86'400'000; // a day

// Redis takes no larger numbers, or not as they are; nobody will see their end.
constexpr std::uint64_t most_kept = std::uint64_t{1} << 52;

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
                                  ? kept_history
                                  : history.milliseconds;

    return {std::clamp(history.messages, kept_for_hosts, most_kept),
            std::min(age, most_kept) + kept_unused};
}

// As the scripts answer: the clients; an id and the clients; or an id, which
// may be empty, the messages, and the clients.
publish_outcome redis_publisher::outcome_of(const redisReply *reply) noexcept
{
    const auto parts = list_in(reply);
    publish_outcome made;

    if (reply->type == REDIS_REPLY_INTEGER) {
        made.done = true;
        made.clients = static_cast<std::uint32_t>(number_in(reply));
    }

    if (parts.size() == 2 || parts.size() == 3) {
        const auto id = broker::read_message_id(text_in(parts[0]));

        made.done = id || (parts.size() == 3 && text_in(parts[0]).empty());
        made.id = id.value_or(broker::message_id{});
        made.messages = parts.size() == 3 ? number_in(parts[1]) : 0;
        made.clients = static_cast<std::uint32_t>(number_in(parts.back()));
    }

    return made;
}

bool redis_publisher::send(const entry &next) noexcept
try {
    if (!redis_.ready()) {
        return false;
    }

    switch (next.wanted) {
    case publish_kind::stored:
        return send_stored(next);
    case publish_kind::passing:
        return send_passing(next);
    case publish_kind::question:
        break;
    }

    return send_question(next);
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
    const std::array<std::string, 4> keys{"m:" + next.name, "s:" + next.name,
                                          "c:" + next.name, "w:" + worker_};
    const std::string channel = redis_.settings().prefix + "n:" + next.name;
    const std::string kind = std::to_string(next.kind);
    const std::string from = std::to_string(next.from);
    const std::string number = std::to_string(next.number);
    const std::string kept = std::to_string(limits.messages);
    const std::string expiry = std::to_string(limits.milliseconds);
    const std::string epoch = std::to_string(last.epoch);
    const std::string sequence = std::to_string(last.sequence);
    const std::string known_in = std::to_string(known.run);
    const std::string term = std::to_string(redis_.term());
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
        known_in,
        term};

    return redis_.run({broker::redis_script::publish, keys, arguments},
                      answered, this);
}

// With the number of clients that the host has now, so that those who are told
// of one that came or left find it counted.
bool redis_publisher::send_passing(const entry &next)
{
    const shared_zone &zone = worker_bus::zone();
    const broker::description known =
        worker_bus::broker().describe(next.name, worker_bus::now());
    const std::array<std::string, 3> keys{
        "c:" + next.name, "r:" + std::string(zone.host.uid()), "hosts"};
    const std::string channel = redis_.settings().prefix + "n:" + next.name;
    const std::string uid = std::string(zone.host.uid());
    const std::string clients =
        known.exists ? std::to_string(known.local_clients) : "";
    const std::string text =
        broker::passing_message(next.kind, next.from, next.payload);
    const std::array<std::string_view, 6> arguments{channel,   uid, clients,
                                                    next.name, "0", text};

    return redis_.run({broker::redis_script::tell, keys, arguments}, answered,
                      this);
}

bool redis_publisher::send_question(const entry &next)
{
    const std::array<std::string, 3> keys{"m:" + next.name, "s:" + next.name,
                                          "c:" + next.name};
    const std::string age = std::to_string(next.history.milliseconds);
    const std::string most = std::to_string(next.history.messages);
    const std::array<std::string_view, 3> arguments{
        age, most, worker_bus::zone().host.uid()};

    return redis_.run({broker::redis_script::describe, keys, arguments},
                      answered, this);
}

} // namespace websocket::nginx
