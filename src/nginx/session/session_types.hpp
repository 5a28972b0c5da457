// Small types of a session: the side or cause that ended it, its counters, and
// the options that the handshake has negotiated.
#pragma once

#include "protocol/deflate/permessage_deflate.hpp"

#include <cstdint>
#include <string_view>

namespace websocket::nginx {

enum class close_initiator : std::uint8_t {
    nobody,
    client,
    server,
    timeout,
    error
};

std::string_view name_of(close_initiator initiator) noexcept;

struct session_counters {
    std::uint64_t messages_in = 0;
    std::uint64_t messages_out = 0;
    std::uint64_t bytes_in = 0; // payload bytes of messages
    std::uint64_t bytes_out = 0;
    std::uint64_t dropped = 0; // messages that a full send queue rejected
};

struct negotiated_options {
    std::string_view subprotocol; // in the request's pool
    protocol::deflate_params deflate;
};

} // namespace websocket::nginx
