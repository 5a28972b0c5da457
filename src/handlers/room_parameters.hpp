// The parameters of the handler `room` in the directive `websocket`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace websocket::handlers {

// The first two apply to the room, the others to the clients of a location. Of
// graces in one room the largest counts.
struct room_parameters {
    std::uint64_t history = 0;      // kept messages
    std::uint64_t history_time = 0; // milliseconds; 0: any age
    bool presence = false;          // clients receive "joined" and "left"
    bool has_grace = false;         // presence_grace is set
    bool publish = true;            // clients may publish
    bool self = true;               // clients receive their own messages

    // Of `websocket_rooms` alone
    bool publish_open = false; // also clients that are not in the room
    bool needs_token = false;  // the claim `rooms` must cover the room

    // For a switch that set() has accepted.
    static constexpr bool is_on(std::string_view value) noexcept
    {
        return value == "on";
    }

    // The milliseconds of a presence_grace that set() has accepted; empty: the
    // default.
    static std::uint64_t grace_of(std::string_view value);

    // Sets name=value. Returns "" or a one-line error. The name "*" precedes
    // the parameters of `websocket_rooms`.
    std::string set(std::string_view name, std::string_view value);

    // Checks the combination once all are set. Returns "" or a one-line error.
    std::string check() const;

private:
    std::string set_publish(std::string_view value);
    std::string set_access(std::string_view value);

    unsigned seen_ = 0;    // a bit for each parameter that was set
    bool pattern_ = false; // the parameters are those of `websocket_rooms`
};

} // namespace websocket::handlers
