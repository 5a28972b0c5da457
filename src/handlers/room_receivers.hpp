// The receivers of a room: clients that have connected to it, and clients of
// `rooms` that are subscribed to it.
#pragma once

#include "handlers/events/event_text.hpp"
#include "handlers/room_resource.hpp"
#include "handlers/rooms/rooms_client.hpp"

#include <string_view>

namespace websocket::handlers {

inline room_receiver room::receiver_of(room_client &client) noexcept
{
    return {client, client.place, client.number, client.format, client.behind};
}

inline room_receiver room::receiver_of(rooms_client &client,
                                       room_place &place) noexcept
{
    return {client, place, client.number, client.format(), client.behind};
}

inline send_result room_receiver::send_object(const std::string &json)
{
    return to.send_text_message(
        is_event_stream(format) ? event_text::object(json) : json);
}

template <class Each>
inline void room::for_each_receiver(Each each)
{
    for (room_client &client : clients()) {
        each(receiver_of(client));
    }

    for_each_subscriber([&each](rooms_client &client, room_place &place) {
        each(receiver_of(client, place));
    });
}

// The room's name as JSON for objects that have it, else "".
inline std::string_view room::room_of(room_receiver to) const noexcept
{
    return to.format == room_format::rooms ||
                   to.format == room_format::rooms_events
               ? std::string_view(json_name_)
               : "";
}

} // namespace websocket::handlers
