// Names of the keys and channels in Redis, without the prefix that the
// directive websocket_redis sets.
//
// For a resource NAME:
//
//     m:NAME  hash: epoch "e" and last sequence "q" of its messages, and the
//             run "r" that last confirmed them. "p" has earlier positions as
//             EPOCH:RUN:SEQUENCE, the latest first.
//     s:NAME  stream: the messages under their ids EPOCH-SEQUENCE, each with
//             the fields k (kind), f (from), t (time), d (payload), in that
//             order
//     c:NAME  hash: clients of each host, by the host's uid
//     n:NAME  channel: messages between the hosts, see message.hpp
//
// For hosts:
//
//     hosts   sorted set: uids of hosts, by the end of their lease
//     r:HOST  set: resources with an entry of the host in their c:NAME
//     i:N     string: uid of the host with the id prefix N
//     b:HOST  channel: heartbeat of the host
//     w:HOST.WORKER  sorted set: the last messages that a worker has published,
//             "ID NUMBER", by the worker's own numbers
//
// Times are milliseconds of Redis's clock. A run is the lifetime of a Redis
// process, within which it loses nothing: a hash of its run_id; 0: unknown.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace websocket::redis {

inline constexpr std::string_view channel_prefix = "n:";
inline constexpr std::string_view heartbeat_prefix = "b:";

inline std::string position_key(std::string_view name)
{
    return std::string("m:").append(name);
}

inline std::string stream_key(std::string_view name)
{
    return std::string("s:").append(name);
}

inline std::string clients_key(std::string_view name)
{
    return std::string("c:").append(name);
}

inline std::string channel(std::string_view name)
{
    return std::string(channel_prefix).append(name);
}

inline std::string hosts_key()
{
    return "hosts";
}

inline std::string host_resources_key(std::string_view uid)
{
    return std::string("r:").append(uid);
}

inline std::string id_prefix_key(std::uint32_t id_prefix)
{
    return std::string("i:").append(std::to_string(id_prefix));
}

inline std::string heartbeat_channel(std::string_view uid)
{
    return std::string(heartbeat_prefix).append(uid);
}

inline std::string published_key(std::string_view worker)
{
    return std::string("w:").append(worker);
}

} // namespace websocket::redis
