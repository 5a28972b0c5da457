// Names of the keys and channels in Redis, without the prefix that the
// directive websocket_redis sets.
//
// A resource belongs to one of 16 shards, by a hash of its name. The names of
// all keys of a shard S, and of its channel, begin with {S}. In a cluster they
// are therefore on one node.
//
// For a shard:
//
//     {S}entries  stream: the last entries of the log, under the ids
//               0-SEQUENCE, each with the field e: see log_entry.hpp
//     {S}pos    hash: epoch "e", last sequence "q" and run "r" of the log, as
//               of a resource; "b", the bytes of all entries so far; "m0" to
//               "m63": see script_parts.hpp
//     {S}n:DB   channel: "ID ENTRY" for each entry of the log; DB is the number
//               of the database, because channels are the same in all
//     {S}hosts  set: uids of hosts that have clients in the shard
//     {S}l:HOST string that expires: the lease of the host
//     {S}r:HOST set: resources with an entry of the host in their c:NAME
//     {S}p:HOST hash: number of users of the host in each resource
//     {S}pc:HOST string: how far the users of a dead host are removed
//     {S}pr:HOST hash: resources from which its users were removed
//
// For a resource NAME:
//
//     {S}m:NAME  hash: epoch "e" and last sequence "q" of its messages, and the
//                run "r" that last confirmed them. "p" has earlier positions as
//                EPOCH:RUN:SEQUENCE, the latest first. "h" and "y": messages
//                and bytes kept, "l": lifetime, "t": time at which the expiry
//                was renewed. "b", "m0" to "m63": as of the log. "x": the last
//                close of all clients, as "ID ENTRY"
//     {S}h:NAME  stream: its history under the ids 0-SEQUENCE, each with the
//                fields k (kind), f (from), t (time), d (payload), in that
//                order
//     {S}c:NAME  hash: clients of each host, by the host's uid
//     {S}u:NAME  hash: the hosts of each user who is present: " UID UID "
//
// For hosts:
//
//     {S}i:N  string: uid of the host with the id prefix N, S = N modulo 16
//     {S}w:HOST.WORKER  hash: the last 256 messages that a worker has
//             published in the shard, "NUMBER ID" by NUMBER modulo 256
//
// For messages to single clients and users, all in one shard, so that the order
// of those for a host is one. A host has a lease in this shard even if it has
// no clients in it:
//
//     {0}inboxes hash: the id prefix of each host that reads its inbox, by uid
//     {0}in:HOST stream: the inbox of the host, under ids that Redis gives,
//     each
//             with the field e: see inbox_entry.hpp. Also the name of a
//             channel, whose messages are empty: there is something to read
//     {0}ib:HOST string: the bytes of the entries in the inbox
//
// For clients of HTTP backends, whose shard is that of the id prefix of their
// first host. A kind is a location that the hosts have in common:
//
//     {S}apps    set: uids of hosts that have such clients
//     {S}al:HOST string that expires: the lease of the host
//     {S}ak:HOST set: kinds of its clients
//     {S}a:KIND:HOST  hash: an entry for each client, by its id: see
//             client_entry.hpp
//     {S}at:HOST set: ids of its clients that other hosts have taken
//
// Times are milliseconds of Redis's clock. A run is the lifetime of a Redis
// process, within which it loses nothing: a hash of its run_id; 0: unknown.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace websocket::redis {

inline constexpr unsigned shard_count = 16;

// All hosts must agree on it. FNV-1a, whose high bits are the better ones.
constexpr unsigned shard_of(std::string_view name) noexcept
{
    std::uint32_t hash = 2166136261;

    for (const char each : name) {
        hash = (hash ^ static_cast<unsigned char>(each)) * 16777619;
    }

    return (hash >> 16 ^ hash) % shard_count;
}

inline std::string shard_tag(unsigned shard)
{
    return std::string("{").append(std::to_string(shard)).append("}");
}

inline std::string log_key(unsigned shard)
{
    return shard_tag(shard).append("entries");
}

inline std::string log_position_key(unsigned shard)
{
    return shard_tag(shard).append("pos");
}

inline std::string channel(unsigned shard, unsigned database)
{
    return shard_tag(shard).append("n:").append(std::to_string(database));
}

inline std::string hosts_key(unsigned shard)
{
    return shard_tag(shard).append("hosts");
}

inline std::string lease_key(unsigned shard, std::string_view uid)
{
    return shard_tag(shard).append("l:").append(uid);
}

inline std::string host_resources_key(unsigned shard, std::string_view uid)
{
    return shard_tag(shard).append("r:").append(uid);
}

inline std::string position_key(std::string_view name)
{
    return shard_tag(shard_of(name)).append("m:").append(name);
}

inline std::string stream_key(std::string_view name)
{
    return shard_tag(shard_of(name)).append("h:").append(name);
}

inline std::string clients_key(std::string_view name)
{
    return shard_tag(shard_of(name)).append("c:").append(name);
}

inline std::string users_key(std::string_view name)
{
    return shard_tag(shard_of(name)).append("u:").append(name);
}

inline std::string host_users_key(unsigned shard, std::string_view uid)
{
    return shard_tag(shard).append("p:").append(uid);
}

inline std::string removed_users_key(unsigned shard, std::string_view uid)
{
    return shard_tag(shard).append("pr:").append(uid);
}

inline std::string published_key(unsigned shard, std::string_view worker)
{
    return shard_tag(shard).append("w:").append(worker);
}

constexpr unsigned id_prefix_shard(std::uint32_t id_prefix) noexcept
{
    return id_prefix % shard_count;
}

inline std::string id_prefix_key(std::uint32_t id_prefix)
{
    return shard_tag(id_prefix_shard(id_prefix))
        .append("i:")
        .append(std::to_string(id_prefix));
}

// The shard of all inboxes.
inline constexpr unsigned inbox_shard = 0;

inline std::string inboxes_key()
{
    return shard_tag(inbox_shard).append("inboxes");
}

inline std::string inbox_key(std::string_view uid)
{
    return shard_tag(inbox_shard).append("in:").append(uid);
}

inline std::string inbox_bytes_key(std::string_view uid)
{
    return shard_tag(inbox_shard).append("ib:").append(uid);
}

inline std::string client_hosts_key(unsigned shard)
{
    return shard_tag(shard).append("apps");
}

inline std::string client_lease_key(unsigned shard, std::string_view uid)
{
    return shard_tag(shard).append("al:").append(uid);
}

inline std::string client_kinds_key(unsigned shard, std::string_view uid)
{
    return shard_tag(shard).append("ak:").append(uid);
}

inline std::string client_taken_key(unsigned shard, std::string_view uid)
{
    return shard_tag(shard).append("at:").append(uid);
}

inline std::string kept_clients_key(unsigned shard, std::string_view kind,
                                    std::string_view uid)
{
    return shard_tag(shard).append("a:").append(kind).append(":").append(uid);
}

} // namespace websocket::redis
