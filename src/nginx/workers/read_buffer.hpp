// Where messages are copied to out of the shared memory, and how handlers are
// shown them there.
#pragma once

#include "broker/broker.hpp"
#include "sdk/websocket_plugin.h"

#include <array>
#include <cstddef>
#include <memory>
#include <new>

namespace websocket::nginx {

// What one look into the shared memory may copy out of it.
template <std::size_t most>
struct read_buffer {
    std::array<std::byte, most * 1024> bytes;
    std::array<broker::message, most> messages;
};

// A large message does not fit into the room. No more than the message itself
// is read then.
inline std::unique_ptr<std::byte[]> large_buffer(std::size_t size) noexcept
{
    return std::unique_ptr<std::byte[]>(new (std::nothrow) std::byte[size]);
}

inline websocket_message_t lent(const broker::message &message) noexcept
{
    return {.size = sizeof(websocket_message_t),
            .version = WEBSOCKET_PLUGIN_VERSION,
            .kind = message.kind,
            .id = {message.id.epoch, message.id.sequence},
            .time = message.time,
            .from = message.from,
            .data = message.payload.data(),
            .length = message.payload.size(),
            .transient = message.transient ? 1 : 0};
}

} // namespace websocket::nginx
