// Renews the tokens of clients, and looks up what they cover.
#include "handlers/room_tokens.hpp"

#include "handlers/room_json.hpp"

namespace websocket::handlers {

std::string renewed_token(client &owner, std::string_view text,
                          std::string_view ref)
{
    const token newer = owner.read_token(text);

    if (owner.use_token(newer)) {
        return room_json::token(ref, newer.expires());
    }

    return room_json::error(
        ref, newer ? "the token is not of the user who connected"
                   : "the token is not valid: " + std::string(newer.error()));
}

room_access::room_access(client &owner, std::string_view sent) : owner_{owner}
{
    if (!sent.empty()) {
        sent_.emplace(owner.read_token(sent));
    }
}

std::string room_access::refusal(std::string_view room) const
{
    if (owner_.subscription_parameter(room, "access") != "token" ||
        owner_.current_token().covers(room) || (sent_ && sent_->covers(room))) {
        return {};
    }

    return sent_ && !*sent_
               ? "the token is not valid: " + std::string(sent_->error())
               : "the token does not cover this room";
}

} // namespace websocket::handlers
