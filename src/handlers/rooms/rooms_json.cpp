// Writes the JSON objects of rooms.v1.json.
#include "handlers/rooms/rooms_json.hpp"

#include "handlers/room_json.hpp"

namespace websocket::handlers::rooms_json {

namespace {

std::string beginning(std::string_view type, std::string_view ref)
{
    std::string json = "{\"type\":\"";

    json.append(type).append("\"");

    if (!ref.empty()) {
        json.append(",\"ref\":").append(ref);
    }

    return json;
}

void append_member(std::string &to, std::string_view name)
{
    to.append(to.empty() ? "" : ",").append(name).append(":");
}

} // namespace

std::string welcome(std::uint64_t client, std::string_view user,
                    std::uint64_t expires)
{
    std::string json = R"({"type":"welcome","client":)";

    json.append(std::to_string(client)).append(",\"user\":");
    json.append(user.empty() ? "null" : room_json::quoted(user));
    json.append(",\"expires\":");
    json.append(expires == 0 ? "null" : std::to_string(expires));
    return json += '}';
}

void subscribed::add(std::string_view room, message_id last,
                     std::uint64_t clients, bool recovered)
{
    append_member(rooms_, room);
    rooms_.append("{\"last\":\"").append(to_string(last));
    rooms_.append("\",\"clients\":").append(std::to_string(clients));
    rooms_.append(",\"recovered\":").append(recovered ? "true}" : "false}");
}

void subscribed::refuse(std::string_view room, std::string_view reason)
{
    append_member(refused_, room);
    refused_.append(room_json::quoted(reason));
}

std::string subscribed::text(std::string_view ref) const
{
    std::string json = beginning("subscribed", ref);

    json.append(",\"rooms\":{").append(rooms_);
    json.append("},\"refused\":{").append(refused_);
    return json.append("}}");
}

std::string unsubscribed(std::string_view ref,
                         const std::vector<std::string> &names)
{
    std::string json = beginning("unsubscribed", ref);
    const char *separator = "";

    json.append(",\"rooms\":[");

    for (const std::string &name : names) {
        json.append(separator).append(room_json::quoted(name));
        separator = ",";
    }

    return json.append("]}");
}

std::string presence(std::string_view ref, std::string_view room,
                     std::uint64_t clients, const found_users &found)
{
    std::string json = beginning("presence", ref);
    const char *separator = "";

    json.append(",\"room\":").append(room);
    json.append(",\"clients\":").append(std::to_string(clients));
    json.append(",\"users\":[");

    for (const user_clients &each : found.users) {
        json.append(separator).append("{\"user\":");
        json.append(room_json::quoted(each.user)).append(",\"clients\":");
        json.append(std::to_string(each.clients)).append("}");
        separator = ",";
    }

    json.append("],\"more\":");
    return json.append(found.more ? "true}" : "false}");
}

std::string error(std::string_view ref, std::string_view room,
                  std::string_view text)
{
    std::string json = beginning("error", ref);

    if (!room.empty()) {
        json.append(",\"room\":").append(room_json::quoted(room));
    }

    json.append(",\"message\":").append(room_json::quoted(text));
    return json += '}';
}

} // namespace websocket::handlers::rooms_json
