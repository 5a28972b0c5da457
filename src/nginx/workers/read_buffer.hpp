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

// Replaces the bytes of the buffers by `larger`, which gets the size of one
// message that is larger than the read_buffer. False: no memory.
inline bool enlarge(broker::read_buffers &buffers,
                    std::unique_ptr<std::byte[]> &larger,
                    std::size_t size) noexcept
{
    larger.reset(new (std::nothrow) std::byte[size]);

    if (larger) {
        buffers.bytes = {larger.get(), size};
    }

    return larger != nullptr;
}

} // namespace websocket::nginx
