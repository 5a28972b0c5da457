// The clients of this worker by id and by user. The shared memory knows which
// workers have a client or a user, so that a message to one wakes no other.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/direct/direct_target.hpp"
#include "nginx/session/session.hpp"

#include <cstdint>
#include <span>
#include <string_view>

namespace websocket::nginx::client_directory {

// Registers from now on which users are in which resource and, with
// `addresses`, each client for messages to it. Called when a process starts.
void enable(bool addresses) noexcept;

// Forgets all clients, once their sessions have ended.
void stop() noexcept;

// The message, or the payload of a Close, for all clients of a target.
struct direct_message {
    std::uint8_t kind; // WEBSOCKET_TEXT, WEBSOCKET_BINARY or kind_close_all
    std::span<const std::byte> payload;

    // Not 0: the number of the entry of this host's inbox that it came with. It
    // may be sent again: a worker that has it skips it.
    std::uint64_t inbox_entry = 0;
};

struct direct_result {
    // not_leading: it came from the inbox, and another process leads now
    broker::outcome result = broker::outcome::done;
    std::uint32_t clients = 0; // on all workers of the host
};

// The clients of a target on this host.
std::uint32_t count(const direct_target &target);

// Sends a message to the workers that have the target. Throws std::bad_alloc.
direct_result send(const direct_target &target, const direct_message &message);

} // namespace websocket::nginx::client_directory
