// Writes the JSON objects of room.v1.json.
#include "handlers/room_json.hpp"

#include <nlohmann/json.hpp>
#include <openssl/evp.h>

#include <algorithm>
#include <cstddef>

namespace websocket::handlers::room_json {

namespace {

constexpr char hex[] = "0123456789abcdef";

// Escapes a character that a JSON string must not contain (RFC 8259 7).
void append_escaped(std::string &to, char character)
{
    constexpr std::string_view escaped_characters = "\"\\\b\f\n\r\t";
    constexpr std::string_view short_names = "\"\\bfnrt";
    const std::size_t index = escaped_characters.find(character);

    to += '\\';

    if (index != escaped_characters.npos) {
        to += short_names[index];
        return;
    }

    const auto byte = static_cast<unsigned char>(character);

    to.append("u00");
    to += hex[byte >> 4];
    to += hex[byte & 15];
}

void append_text(std::string &to, std::string_view text)
{
    to += '"';

    while (!text.empty()) {
        const auto plain = static_cast<std::size_t>(
            std::find_if(text.begin(), text.end(),
                         [](char each) {
                             return static_cast<unsigned char>(each) < ' ' ||
                                    each == '"' || each == '\\';
                         }) -
            text.begin());

        to.append(text.substr(0, plain));
        text.remove_prefix(plain);

        if (!text.empty()) {
            append_escaped(to, text.front());
            text.remove_prefix(1);
        }
    }

    to += '"';
}

void append_base64(std::string &to, std::span<const std::byte> data)
{
    // OpenSSL counts in int. A multiple of three needs no padding.
    constexpr std::size_t max_part = 3 * 64 * 1024;

    while (!data.empty()) {
        const auto part = data.first(std::min(max_part, data.size()));
        const std::size_t end = to.size();
        const std::size_t length = (part.size() + 2) / 3 * 4;

        to.resize(end + length + 1); // OpenSSL appends a zero byte
        EVP_EncodeBlock(reinterpret_cast<unsigned char *>(to.data() + end),
                        reinterpret_cast<const unsigned char *>(part.data()),
                        static_cast<int>(part.size()));
        to.pop_back();
        data = data.subspan(part.size());
    }
}

void append_id(std::string &to, message_id id)
{
    to.append("\"").append(to_string(id)).append("\"");
}

void append_client(std::string &to, std::uint64_t client)
{
    to.append(client == 0 ? "null" : std::to_string(client));
}

void append_ref(std::string &to, std::string_view ref)
{
    if (!ref.empty()) {
        to.append(",\"ref\":").append(ref);
    }
}

void append_room(std::string &to, std::string_view room)
{
    if (!room.empty()) {
        to.append(",\"room\":").append(room);
    }
}

void append_user(std::string &to, std::string_view user)
{
    if (!user.empty()) {
        to.append(",\"user\":");
        append_text(to, user);
    }
}

void append_data(std::string &to, const message &source)
{
    if (source.kind == opcode::text) {
        to.append(",\"data\":");
        append_text(to, source.text());
    } else {
        to.append(",\"base64\":\"");
        append_base64(to, source.data);
        to += '"';
    }
}

} // namespace

std::string quoted(std::string_view text)
{
    return nlohmann::json(text).dump(-1, ' ', false,
                                     nlohmann::json::error_handler_t::replace);
}

std::string base64(std::span<const std::byte> data)
{
    std::string text;

    append_base64(text, data);
    return text;
}

std::string welcome(const welcome_info &info)
{
    std::string json = R"({"type":"welcome","client":)";

    append_client(json, info.client);
    json.append(",\"room\":").append(info.room).append(",\"last\":");
    append_id(json, info.last);
    json.append(",\"clients\":").append(std::to_string(info.clients));
    json.append(",\"recovered\":").append(info.recovered ? "true" : "false");
    return json += '}';
}

std::string published_message(const message &source, std::string_view room)
{
    std::string json;

    json.reserve(source.data.size() * 4 / 3 + room.size() + 128);
    json.append(R"({"type":"message")");
    append_room(json, room);
    json.append(",\"id\":");
    append_id(json, source.id);
    json.append(",\"time\":").append(std::to_string(source.time));
    json.append(",\"from\":");
    append_client(json, source.from);

    append_user(json, source.user);
    append_data(json, source);
    return json += '}';
}

std::string direct_message(const message &source)
{
    std::string json = R"({"type":"direct","time":)";

    json.append(std::to_string(source.time));
    append_data(json, source);
    return json += '}';
}

std::string presence(std::string_view type, std::uint64_t client,
                     std::uint64_t clients, std::string_view room,
                     std::string_view user)
{
    std::string json = "{\"type\":\"";

    json.append(type).append("\"");
    append_room(json, room);
    append_user(json, user);
    json.append(",\"client\":");
    append_client(json, client);
    json.append(",\"clients\":").append(std::to_string(clients));
    return json += '}';
}

std::string gap(std::string_view room)
{
    std::string json = R"({"type":"gap")";

    append_room(json, room);
    return json += '}';
}

std::string published(std::string_view ref, message_id id,
                      std::string_view room)
{
    std::string json = "{\"type\":\"published\"";

    append_ref(json, ref);
    append_room(json, room);
    json.append(",\"id\":");
    append_id(json, id);
    return json += '}';
}

std::string pong(std::string_view ref)
{
    std::string json = R"({"type":"pong")";

    append_ref(json, ref);
    return json += '}';
}

std::string token(std::string_view ref, std::uint64_t expires)
{
    std::string json = R"({"type":"token")";

    append_ref(json, ref);
    json.append(",\"expires\":")
        .append(expires == 0 ? "null" : std::to_string(expires));
    return json += '}';
}

std::string error(std::string_view ref, std::string_view text)
{
    std::string json = "{\"type\":\"error\"";

    append_ref(json, ref);
    json.append(",\"message\":").append(quoted(text));
    return json += '}';
}

} // namespace websocket::handlers::room_json
