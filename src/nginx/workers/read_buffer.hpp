// Buffers into which messages are copied from the shared memory.
#pragma once

#include "broker/broker.hpp"

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

} // namespace websocket::nginx
