// The scripts that Redis runs for us, each one step that nothing comes between.
// Their keys: see keys.hpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace websocket::redis {

enum class script : std::size_t {
    // Numbers, stores and tells a message, unless it has one of that number
    // from that worker already: it may be sent again, and come twice. The
    // epoch is a new one where there is none, or where the host has messages
    // that Redis has forgotten.
    // keys m s c w; channel, kind, from, payload, messages kept, expiry,
    // counted ("1": count the clients), the worker's number for it, host, epoch
    // and sequence that the host has (0: none), the term in which it got them,
    // the present one.
    // [id, clients of the other hosts]
    publish,

    // Tells something that is not stored, and the host's clients.
    // keys c r hosts; channel, host, clients ("": they stay as they are), name,
    // lost ("1": they were lost), text ("": none). The clients of the others.
    notify,

    // What a host has missed of a resource's messages, with a new epoch as
    // above.
    // keys m s c r hosts; channel, host, clients, name, epoch and sequence that
    // the host has, messages wanted at most, expiry, bytes wanted at most, the
    // term in which it got what it has, the present one.
    // [epoch, last sequence, sequence before the first wanted, entries,
    // [host, clients ...]]
    sync,

    // What is known of a resource.
    // keys m s c; how old messages may be (0: any age), how many count, host.
    // [id or "", messages, clients of the other hosts]
    describe,

    // Renews the host's lease.
    // keys hosts i b r; host, lease. ["1" if it was there, "1" if N is its, a
    // host whose lease has ended or ""]
    renew,

    // Takes a host whose lease has ended out of some of its resources.
    // keys hosts r; host, prefix, how many. How many they were.
    purge_host,

    // Takes a host that ends out of all of them: its clients have left.
    // keys hosts r i; host, prefix.
    unregister_host,

    count
};

inline constexpr std::size_t script_count =
    static_cast<std::size_t>(script::count);

// In Lua. Throws std::bad_alloc.
std::string script_text(script wanted);

} // namespace websocket::redis
