// Tokens that clients send to rooms.
#pragma once

#define WEBSOCKET_BUILT_IN
#include "sdk/websocket.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace websocket::handlers {

// Replaces the client's token. Returns the answer as JSON.
std::string renewed_token(client &owner, std::string_view text,
                          std::string_view ref);

// Which rooms with access=token a client may use: those that the claim "rooms"
// of its token covers, or of one that it sent with its request.
class room_access {
public:
    // `sent`: the token of the request; empty: none.
    room_access(client &owner, std::string_view sent);

    // The reason why the client may not use the room; empty: it may.
    std::string refusal(std::string_view room) const;

private:
    client &owner_;
    std::optional<token> sent_;
};

} // namespace websocket::handlers
