// Slots of Redis Cluster, and the errors by which its nodes redirect a client.
#pragma once

#include "redis/server_address.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace websocket::redis {

inline constexpr unsigned slot_count = 16384;

// The slot of all keys of a shard. See keys.hpp.
unsigned slot_of(unsigned shard) noexcept;

struct redirect {
    enum class type : std::uint8_t {
        none,  // another error, or none
        moved, // another node has the slot: for this command and later ones
        ask,   // another node has the keys: for this command, after ASKING
        later  // the slot is moving, or no node has it
    };

    type what = type::none;
    std::string host; // empty: the node that replied
    std::uint16_t port = 0;
};

// Parses an error. Throws std::bad_alloc.
redirect parse_redirect(std::string_view error);

} // namespace websocket::redis
