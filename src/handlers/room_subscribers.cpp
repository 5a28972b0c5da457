// Clients of `rooms` that are subscribed to a room.
#include "handlers/room_receivers.hpp"

#include <utility>

namespace websocket::handlers {

// Nothing is sent to the client before begin() is called.
void room::client_subscribed(rooms_client &client, room_place &place,
                             const message_id *)
{
    delivered_ = last_message();
    place.receives_own = room_parameters::is_on(
        client.subscription_parameter(name(), "self", "on"));
    place.receives_presence = room_parameters::is_on(
        client.subscription_parameter(name(), "presence", "off"));
    client.on_subscribed(*this, place);
}

void room::begin(rooms_client &client, room_place &place, message_id start)
{
    start_from(receiver_of(client, place), start);
    announce("joined", client, client.number);
}

void room::client_unsubscribed(rooms_client &client, room_place &place)
{
    const bool began = place.live || place.progress;

    client.behind -= place.progress ? 1 : 0;

    if (began) {
        receivers_--;
        announce("left", client, client.number);
    }
}

bool room::resume(rooms_client &client, room_place &place)
{
    return !place.progress || catch_up(receiver_of(client, place));
}

void room::publish_for(rooms_client &from, opcode kind,
                       std::span<const std::byte> data,
                       std::size_t result_bytes,
                       std::function<void(const publish_result &)> on_result)
{
    publish(kind, data,
            {.from = from.number,
             .callback_bytes = result_bytes,
             .user = from.user()},
            [this, report = std::move(on_result)](const publish_result &done) {
                note_published(done);
                report(done);
            });
}

} // namespace websocket::handlers
