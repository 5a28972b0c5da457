// The subprotocol rooms.v1.json: JSON objects between `rooms` and its clients.
//
// Text arguments must be UTF-8 unless stated. All functions may throw
// std::bad_alloc.
#pragma once

#include "sdk/websocket_message.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::handlers::rooms_json {

inline constexpr std::string_view subprotocol = "rooms.v1.json";

enum class verb {
    none,
    subscribe,
    unsubscribe,
    publish,
    presence,
    token,
    ping
};

// An object from a client.
struct request {
    verb asks = verb::none;
    std::vector<std::string> names{}; // to subscribe to or unsubscribe from

    // Of "since", as received
    std::map<std::string, std::string, std::less<>> since{};

    std::string room{}; // to publish to, or whose presence is asked for
    opcode kind = opcode::text;
    std::string data{};
    std::string after{}; // the user after which a page of presence begins
    std::string token{};
    std::string ref{};   // JSON, as received; empty: none
    std::string error{}; // a message for the client; empty: valid
};

request parse(std::string_view text);

// `expires`: of the client's token, in ms since 1970; 0: never.
std::string welcome(std::uint64_t client, std::string_view user,
                    std::uint64_t expires);

// The answer to "subscribe", written room by room.
class subscribed {
public:
    // `room`: its name as JSON.
    void add(std::string_view room, message_id last, std::uint64_t clients,
             bool recovered);
    void refuse(std::string_view room, std::string_view reason);

    std::string text(std::string_view ref) const;
    std::size_t size() const noexcept
    {
        return rooms_.size() + refused_.size();
    }

private:
    std::string rooms_;   // members of the object "rooms"
    std::string refused_; // and of "refused"
};

std::string unsubscribed(std::string_view ref,
                         const std::vector<std::string> &names);

// The answer to "presence": a page of the users of a room, whose name is JSON.
std::string presence(std::string_view ref, std::string_view room,
                     std::uint64_t clients, const found_users &found);

// As room_json::error, for any text.
std::string error(std::string_view ref, std::string_view room,
                  std::string_view text);

} // namespace websocket::handlers::rooms_json
