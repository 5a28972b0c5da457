// A client of `rooms`, and its requests to subscribe that are not answered yet.
#pragma once

#include "handlers/room_place.hpp"
#include "handlers/rooms/rooms_json.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::handlers {

class room;

inline constexpr std::string_view no_pattern =
    "the name fits no websocket_rooms of this location";

struct rooms_client : client {
    rooms_client();

    // How messages are written for it.
    room_format format() const noexcept
    {
        return events ? room_format::rooms_events : room_format::rooms;
    }

    // Sends an object, as an event if the client reads those.
    send_result send_object(const std::string &json);

    // The messages that it has been sent of each room, with `last` of `of`, as
    // the id of an event.
    std::string positions(const room &of, message_id last) const;

    // Subscribes a client that reads events to the rooms of its request.
    void subscribe_to_requested();

    // A room has joined the client, or will not.
    void on_subscribed(room &joined, room_place &place);
    void on_refused(std::string_view name, std::string_view reason);

    // Subscribes to the rooms of a request. One object answers it, once each
    // room has joined or refused.
    void subscribe_to(const rooms_json::request &request);

    const std::uint64_t number;    // its id
    const bool events;             // reads an event stream
    unsigned behind = 0;           // the rooms of which it is behind
    unsigned listing = 0;          // requests for presence without an answer
    std::size_t listing_bytes = 0; // of their "ref"

    // The last room whose history it was sent, to be compared only.
    const room *resumed = nullptr;

private:
    struct wish {
        std::string name;
        std::optional<message_id> since;
        room *joined = nullptr;
        room_place *place = nullptr;
    };

    struct open_request {
        std::string ref;
        std::vector<wish> rooms; // sorted by name
        std::size_t pending;
        rooms_json::subscribed answer;
    };

    using request_list = std::list<open_request>;

    // Bytes of answers. More requests are refused.
    static constexpr std::size_t max_waiting = 64 * 1024;

    static std::vector<wish>::iterator find(open_request &request,
                                            std::string_view name) noexcept;
    bool too_much_waits() const noexcept;
    void finish(request_list::iterator done);

    request_list requests_;
};

} // namespace websocket::handlers
