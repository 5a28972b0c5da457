// Buffers into which messages are copied from the shared memory, and the form
// in which handlers get these messages.
#pragma once

#include "broker/broker.hpp"
#include "sdk/websocket_plugin.h"

#include <array>
#include <cstddef>
#include <memory>
#include <new>

namespace websocket::nginx {

// For one read from the shared memory: up to so many messages.
template <std::size_t max_messages>
struct read_buffer {
    std::array<std::byte, max_messages * 1024> bytes;
    std::array<broker::message, max_messages> messages;
};

// For one message that is larger than the read_buffer. Null without memory.
inline std::unique_ptr<std::byte[]> large_buffer(std::size_t size) noexcept
{
    return std::unique_ptr<std::byte[]>(new (std::nothrow) std::byte[size]);
}

inline websocket_message_t
as_plugin_message(const broker::message &message) noexcept
{
    return {.size = sizeof(websocket_message_t),
            .version = WEBSOCKET_PLUGIN_VERSION,
            .kind = message.kind,
            .id = {message.id.epoch, message.id.sequence},
            .time = message.time,
            .from = message.from,
            .data = message.payload.data(),
            .length = message.payload.size(),
            .transient = message.transient ? 1 : 0,
            .callback_bytes = 0};
}

} // namespace websocket::nginx
