// Scripts that Redis runs, each atomically. Their keys: see keys.hpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace websocket::redis {

enum class script : std::size_t {
    // Numbers, stores and publishes a message, unless it already has one of
    // that number from that worker: a message may be sent again and arrive
    // twice. Starts a new epoch if there is none, or if the host has messages
    // that Redis has lost.
    //
    // keys: m s c w
    // arguments: channel, kind, from, payload, messages kept, expiry, "1" to
    // count
    //     clients, the worker's number of the message, host, epoch and sequence
    //     of the host (0: none), the run in which it got them, the present run
    // reply: [id, clients of the other hosts]
    publish,

    // Publishes a transient message, and the clients of the host.
    //
    // keys: c r hosts
    // arguments: channel, host, clients ("": unchanged), name, "1" if they were
    //     lost, text ("": none)
    // reply: clients of the other hosts
    notify,

    // Returns messages that a host has missed. May start a new epoch as publish
    // does.
    //
    // keys: m s c r hosts
    // arguments: channel, host, clients, name, epoch and sequence of the host,
    //     max. messages, expiry, max. bytes, the run in which it got its
    //     messages, the present run
    // reply: [epoch, last sequence, sequence before the first entry, entries,
    //     [host, clients ...]]
    sync,

    // Describes a resource.
    //
    // keys: m s c
    // arguments: max. age (0: any), max. messages, host
    // reply: [id or "", messages, clients of the other hosts]
    describe,

    // Renews the lease of the host, and sends its heartbeat.
    //
    // keys: hosts i b r
    // arguments: host, duration
    // reply: ["1" if there was a lease, "1" if the host owns the id prefix, a
    // host
    //     with an expired lease or ""]
    renew,

    // Removes the clients of a host with an expired lease from some resources.
    //
    // keys: hosts r
    // arguments: host, prefix, max. resources
    // reply: number of resources
    purge_host,

    // Removes a host that shuts down from all resources: its clients have left.
    //
    // keys: hosts r i
    // arguments: host, prefix
    unregister_host,

    count
};

inline constexpr std::size_t script_count =
    static_cast<std::size_t>(script::count);

// The text in Lua. Throws std::bad_alloc.
std::string script_text(script wanted);

} // namespace websocket::redis
