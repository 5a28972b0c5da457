// The parameters of the handler `room`, as the directive `websocket` has them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace websocket::handlers {

// The first two are of the room, the others of the clients that come through a
// location.
struct room_parameters {
    std::uint64_t history = 0;      // messages that are kept
    std::uint64_t history_time = 0; // milliseconds; 0: of any age
    bool presence = false;          // who comes and goes is told
    bool publish = true;            // clients may publish
    bool self = true;               // and get their own messages

    // Of a switch that set() has taken.
    static constexpr bool is_on(std::string_view value) noexcept
    {
        return value == "on";
    }

    // Takes name=value. Returns "" or in one line of words what is wrong.
    std::string set(std::string_view name, std::string_view value);

    // Whether they fit together: the same, once all are set.
    std::string check() const;

private:
    unsigned given_ = 0; // a bit for each that was set
};

} // namespace websocket::handlers
