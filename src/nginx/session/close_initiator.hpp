// The side or cause that ended a connection.
#pragma once

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

} // namespace websocket::nginx
