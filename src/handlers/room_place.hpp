// A client's place in a room: whether it is sent messages live, or from the
// history.
//
// A client is either *live* or *behind*. A live client is sent messages as they
// are published. A client that is behind is sent earlier messages from the
// history as fast as it reads them; then it becomes live. If the history no
// longer has a message that the client needs, a JSON client is sent a gap, any
// other is closed with 1013.
#pragma once

#define WEBSOCKET_BUILT_IN
#include "sdk/websocket.hpp"

#include <cstdint>
#include <memory>

namespace websocket::handlers {

// How messages are written for a client: as they are, as the objects of
// room.v1.json or rooms.v1.json, or as events of a room or of rooms.
enum class room_format : std::uint8_t {
    plain,
    room,
    rooms,
    room_events,
    rooms_events
};

inline constexpr std::size_t room_formats = 5;

constexpr bool is_event_stream(room_format format) noexcept
{
    return format >= room_format::room_events;
}

// Of a client that is behind.
struct room_progress {
    message_id delivered;              // the last message that it was sent
    std::uint64_t announced_count = 0; // the last number of clients sent to it
    bool presence_stale = false;       // it missed presence events
};

struct room_place {
    // Presence changes on this worker before the client joined
    std::uint64_t changes_before = 0;

    std::unique_ptr<room_progress> progress; // null: it is not behind
    bool live = false;              // neither: it has not been welcomed yet
    bool receives_own = true;       // messages
    bool receives_presence = false; // events
};

// A place with what is needed to send to its client: a handle, cheap to copy.
struct room_receiver {
    client &to;
    room_place &place;
    std::uint64_t number; // the client's id
    room_format format;
    unsigned &behind; // the number of the client's places that are behind

    bool json() const noexcept { return format != room_format::plain; }

    // Sends an object, as an event if the client reads those.
    send_result send_object(const std::string &json);
};

} // namespace websocket::handlers
