// The functions of the clients of HTTP backends that are called from here. The
// folder nginx/backend sets them.
#pragma once

#include "broker/types.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace websocket::nginx::backend {

class client;

struct client_calls {
    // The entry for Redis with this sequence. Throws std::bad_alloc.
    std::string (*entry)(const client &of, std::uint64_t sequence);

    // Another host has sent the disconnect event. The client is closed.
    void (*lose)(client &which) noexcept;

    // The kinds of clients that this configuration has locations for. Throws
    // std::bad_alloc.
    std::vector<std::string> (*kinds)();

    // Sends the disconnect event of a client, whose note this worker has.
    // Throws std::bad_alloc.
    void (*adopt)(const broker::found_note &found);

    // Whether more events may be sent for clients of others.
    bool (*has_room)() noexcept;
};

// Null before the first client.
inline const client_calls *calls = nullptr;

} // namespace websocket::nginx::backend
