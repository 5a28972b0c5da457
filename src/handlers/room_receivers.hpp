// The receivers of a room: clients that have connected to it, and clients of
// `rooms` that are subscribed to it.
#pragma once

#include "handlers/room_resource.hpp"
#include "handlers/rooms/rooms_client.hpp"

#include <string_view>

namespace websocket::handlers {

inline room_receiver room::receiver_of(room_client &client) noexcept
{
    return {client, client.place, client.number,
            client.json ? room_format::room : room_format::plain,
            client.behind};
}

inline room_receiver room::receiver_of(rooms_client &client,
                                       room_place &place) noexcept
{
    return {client, place, client.number, room_format::rooms, client.behind};
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
    return to.format == room_format::rooms ? std::string_view(json_name_) : "";
}

} // namespace websocket::handlers
