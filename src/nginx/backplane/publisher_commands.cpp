// Runs the script for a request, and parses its reply.
#include "nginx/backplane/publisher.hpp"

#include "nginx/backplane/shard_call.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/host_inbox/inbox_reader.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "redis/keys.hpp"
#include "redis/log_entry.hpp"

#include <algorithm>
#include <array>
#include <new>

namespace websocket::nginx {

namespace {

// Unused resources are kept for unused_ttl.
constexpr std::uint64_t unused_ttl = 3'600'000;   // ms: an hour
constexpr std::uint64_t history_ttl = 86'400'000; // ms: a day

// The expiry of the published messages' numbers, an hour, is renewed after this
// time.
constexpr ngx_msec_t number_renewal = 600'000;

// Redis accepts no larger numbers, or not exactly.
constexpr std::uint64_t max_kept = std::uint64_t{1} << 52;

// [state, host ...]: see redis/direct_scripts.hpp
publish_outcome direct_result_of(const redisReply *reply) noexcept
try {
    const auto parts = list_in(reply);
    publish_outcome result{.done = !parts.empty() && text_in(parts[0]) != "2"};

    if (result.done) {
        result.inbox_full = text_in(parts[0]) == "1";
        result.hosts.reserve(parts.size() - 1);

        for (const redisReply *host : parts.subspan(1)) {
            result.hosts.emplace_back(text_in(host));
        }
    }

    return result;
} catch (const std::bad_alloc &) {
    return {};
}

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

    return {std::min(history.messages, max_kept),
            std::min(age, max_kept) + unused_ttl};
}

// Replies of the scripts: the clients; or an id and the clients; or an id,
// which may be empty, the messages and the clients.
publish_outcome redis_publisher::result_of(const redisReply *reply,
                                           publish_kind kind) noexcept
{
    const auto parts = list_in(reply);
    publish_outcome result;

    if (kind == publish_kind::direct) {
        return direct_result_of(reply);
    }

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

bool redis_publisher::send(lane &of, const entry &next) noexcept
try {
    if (!redis_.ready(of.shard)) {
        return false;
    }

    switch (next.request_kind) {
    case publish_kind::stored:
        return send_stored(of, next);
    case publish_kind::transient:
        return send_transient(of, next);
    case publish_kind::direct:
        return send_direct(of, next);
    case publish_kind::query:
        break;
    }

    return send_query(of, next);
} catch (const std::bad_alloc &) {
    return false;
}

bool redis_publisher::send_stored(lane &of, const entry &next)
{
    const broker::description known =
        worker_bus::broker().describe(next.name, worker_bus::now());
    const broker::message_id last =
        known.external ? known.last : broker::message_id{};
    const broker::limits limits =
        stream_limits_of(known.exists ? known.history : next.history);
    const bool renews =
        of.renewed_at == 0 || ngx_current_msec - of.renewed_at > number_renewal;
    const std::array<std::string, 4> keys{
        redis::position_key(next.name), redis::stream_key(next.name),
        redis::clients_key(next.name),
        redis::published_key(of.shard, worker_id_)};
    const std::string kind = std::to_string(next.kind);
    const std::string from = std::to_string(next.from);
    const std::string number = std::to_string(next.number);
    const std::string kept = std::to_string(limits.messages);
    const std::string lifetime = std::to_string(limits.milliseconds);
    const std::string epoch = std::to_string(last.epoch);
    const std::string sequence = std::to_string(last.sequence);
    const std::string known_run = std::to_string(known.run);
    const std::string bytes =
        std::to_string(main_conf_of(*ngx_cycle).room_memory);
    const std::array<std::string_view, 14> arguments{next.name,
                                                     next.payload,
                                                     kind,
                                                     from,
                                                     kept,
                                                     lifetime,
                                                     next.counts_clients ? "1"
                                                                         : "0",
                                                     number,
                                                     next.resent ? "1" : "0",
                                                     renews ? "1" : "0",
                                                     epoch,
                                                     sequence,
                                                     known_run,
                                                     bytes};

    if (renews) {
        of.renewed_at = ngx_current_msec;
    }

    return run(redis_, {redis::script::publish, of.shard, keys, arguments},
               on_reply, &of);
}

// Also sends the present number of clients of this host, so that those who
// learn of a joined or left client see it counted.
bool redis_publisher::send_transient(lane &of, const entry &next)
{
    const shared_zone &zone = worker_bus::zone();
    const broker::description known =
        worker_bus::broker().describe(next.name, worker_bus::now());
    const unsigned shard = of.shard;
    const std::string_view uid = zone.host.uid();
    const std::array<std::string, 5> keys{
        redis::clients_key(next.name), redis::host_resources_key(shard, uid),
        redis::hosts_key(shard), redis::lease_key(shard, uid),
        redis::position_key(next.name)};
    const std::string clients =
        known.exists ? std::to_string(known.local_clients) : "";

    if (next.kind == kind_user_joined || next.kind == kind_user_left) {
        const changed_user changed{next.payload, next.from};

        return set_users(redis_, next.name, {&changed, 1}, clients, false,
                         on_reply, &of);
    }

    const std::string entry =
        redis::transient_entry(next.name, redis_.run_id_hash(of.shard),
                               next.kind, next.from, next.payload);
    const std::array<std::string_view, 5> arguments{
        clients, next.name, "0", entry,
        next.kind == kind_close_all ? "1" : "0"};

    return run(redis_, {redis::script::notify, shard, keys, arguments},
               on_reply, &of);
}

bool redis_publisher::send_direct(lane &of, const entry &next)
{
    const std::array<std::string, 1> keys{redis::inboxes_key()};
    const std::string prefix =
        redis_.settings().prefix + redis::shard_tag(redis::inbox_shard);
    const shared_zone &zone = worker_bus::zone();
    const bool was_registered =
        handlers_of_inbox != nullptr && zone.link_generation != 0;
    const std::array<std::string_view, 6> arguments{zone.host.uid(),
                                                    next.name,
                                                    next.payload,
                                                    prefix,
                                                    next.counts_clients ? "1"
                                                                        : "0",
                                                    was_registered ? "1" : "0"};

    return redis_.run(of.shard, {redis::script::send_direct, keys, arguments},
                      on_reply, &of);
}

bool redis_publisher::send_query(lane &of, const entry &next)
{
    const std::array<std::string, 3> keys{redis::position_key(next.name),
                                          redis::stream_key(next.name),
                                          redis::clients_key(next.name)};
    const std::string age = std::to_string(next.history.milliseconds);
    const std::string max_messages = std::to_string(next.history.messages);
    const std::array<std::string_view, 3> arguments{
        age, max_messages, worker_bus::zone().host.uid()};

    return redis_.run(of.shard, {redis::script::describe, keys, arguments},
                      on_reply, &of);
}

} // namespace websocket::nginx
