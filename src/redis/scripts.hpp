// Scripts that Redis runs, each atomically. Their keys: see keys.hpp.
//
// While the slot of a shard moves to another node, a script runs only if all
// keys that it is called with are on the same node. Without that, a key that a
// script names itself is an error of the script.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace websocket::redis {

// Scripts that are marked with "shard" have these keys and arguments before
// their own:
//
// keys: log position, log
// arguments: channel; epoch, sequence and run of the host's cursor in the log
//     (0: none); the present run; host
enum class script : std::size_t {
    // Numbers, stores and posts a message. If it is sent again, returns the
    // one that Redis has of that number from that worker. Starts a new epoch if
    // there is none, or if the host has messages that Redis has lost.
    //
    // shard keys: m h c w
    // arguments: name, payload, kind, from, messages kept, lifetime, "1" to
    //     count clients, the worker's number of the message, "1" if it is sent
    //     again, "1" to renew the expiry of w; epoch, sequence and run of the
    //     host's last message (0: none); bytes kept
    // reply: [id, clients of the other hosts]
    publish,

    // Posts the clients of the host, and a transient entry.
    //
    // shard keys: c r hosts l m
    // arguments: clients ("": unchanged), name, "1" if they were lost, entry
    //     ("": none), "1" if it closes all clients
    // reply: clients of the other hosts
    notify,

    // Returns messages of a resource that a host does not have. May start a new
    // epoch as publish does.
    //
    // shard keys: m h c r hosts l
    // arguments: clients, name; epoch, sequence and run of the host's last
    //     message; max. messages, lifetime, max. bytes; "c" if the host was
    //     counted before, "r" if Redis may also have an older number, or "";
    //     bytes kept
    // reply: [epoch, last sequence, sequence before the first entry, entries,
    //     [host, clients ...], end of the log, last close of all clients or ""]
    sync,

    // Returns entries of the log behind the cursor, or its end.
    //
    // shard arguments: max. bytes, "1" for the end
    // reply: [epoch, last sequence, sequence before the first entry, entries]
    fetch,

    // Describes a resource.
    //
    // keys: m h c
    // arguments: max. age (0: any), max. messages, host
    // reply: [id or "", messages, clients of the other hosts]
    describe,

    // Keeps the id prefix of the host.
    //
    // keys: i
    // arguments: host, duration, any text
    // reply: ["1" if the host owns the id prefix, time, that text]
    renew,

    // Renews the lease of the host in a shard, and the expiry of resources.
    // Finds those whose clients Redis does not have as the host announced them.
    // Without a lease, only finds a host whose lease has ended, and a log that
    // has no expiry because it was deleted.
    //
    // shard keys: hosts l r; in the shard of inboxes also inboxes in
    // arguments: duration ("0": no lease), id prefix of the host ("": it reads
    //     no inbox); name,
    // lifetime
    //     and clients ("": unknown) of each resource to keep
    // reply: [end of the log or "", a host without a lease or "", resources
    //     whose clients differ, "1" if another lease ends soon, number of
    //     entries in the inbox]
    lease,

    // Removes the clients and users of a host without a lease from some
    // resources.
    //
    // shard keys: hosts, l and r of that host; in the shard of inboxes also
    //     inboxes, in and ib of that host
    // arguments: that host, prefix with shard, max. resources
    // reply: 0 if none is left
    purge_host,

    // Removes a host that shuts down from a shard: its clients have left. Of
    // very many resources other hosts remove the rest when its lease has ended,
    // and its users, who may have come to them meanwhile.
    //
    // shard keys: hosts l r; in the shard of inboxes also inboxes in ib
    // arguments: prefix with shard
    unregister_host,

    // Gives up the id prefix of the host.
    //
    // keys: i
    // arguments: host
    release_id_prefix,

    // Keeps clients of HTTP backends, and forgets others.
    //
    // keys: a ak apps al at
    // arguments: host, kind, lease, number of clients to forget, their ids;
    //     of each client to keep the id and its entry
    // reply: ["new" if there was no lease or "", ids of those that another host
    //     has taken ...]
    keep_clients,

    // Finds clients that Redis does not have.
    //
    // keys: a
    // arguments: their ids
    // reply: ids of the missing ones
    check_clients,

    // Renews the lease of the host for its clients.
    //
    // keys: al ak apps
    // arguments: host, duration, prefix with shard
    // reply: 0 if it had ended, else 1
    renew_clients,

    // Finds clients of a host whose lease has ended.
    //
    // keys: apps
    // arguments: prefix with shard, host, another host or "" for any, position
    //     ("0": the first), kinds
    // reply: that host, kind, next position or "0", [id, entry, ...]; or
    //     nothing
    find_clients,

    // Takes clients of a host whose lease has ended. The host itself has one.
    //
    // keys: a of the dead host, a; al and at of the dead host, ak, apps
    // arguments: host, kind, ids
    // reply: ids of the clients that the host has taken, now or before
    take_clients,

    // Appends an entry to the inboxes of other hosts.
    //
    // keys: inboxes
    // arguments: host; id prefix of the only host to get it, or "" for all;
    //     entry, prefix with shard, "1" to append nothing if an inbox is full
    // reply: ["1" if an inbox is full else "0", the hosts that get it ...]
    send_direct,

    // Removes entries of the host's inbox that it has handled, appends answers
    // to the inboxes of other hosts, and returns the next entries.
    //
    // keys: in ib inboxes
    // arguments: prefix with shard, max. bytes, number of entries to remove;
    //     the id and the size of each; of each answer the host and the entry
    // reply: [[id, entry], ...]
    read_inbox,

    // Finds the hosts that have a lease, and read their inboxes.
    //
    // keys: inboxes, hosts, l of each host
    // arguments: hosts
    // reply: those of them
    find_hosts,
    // Sets which users are in a resource of this host. Posts those who have
    // joined or left on all hosts.
    //
    // shard keys: c r hosts l u p pr
    // arguments: clients ("": unchanged), name, "1" to post nobody who has
    //     joined unless the host was removed; of each user the name, "1" if
    //     present, and a client or 0
    // reply: clients of the other hosts
    set_users,

    count
};

inline constexpr std::size_t script_count =
    static_cast<std::size_t>(script::count);

// The text in Lua. In a cluster, entries are published only on the node of the
// shard. Throws std::bad_alloc.
std::string script_text(script wanted, bool in_cluster);

} // namespace websocket::redis
