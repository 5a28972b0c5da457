// Writes the objects of room.v1.json.
#include "handlers/room_json.hpp"

#include <nlohmann/json.hpp>
#include <openssl/evp.h>

#include <algorithm>
#include <cstddef>

namespace websocket::handlers::room_json {

namespace {

constexpr char hex[] = "0123456789abcdef";

// Of one character that may not stand in a JSON string (RFC 8259 7).
void append_escaped(std::string &to, char character)
{
    constexpr std::string_view short_of = "\"\\\b\f\n\r\t";
    constexpr std::string_view short_form = "\"\\bfnrt";
    const std::size_t known = short_of.find(character);

    to += '\\';

    if (known != short_of.npos) {
        to += short_form[known];
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
    // OpenSSL counts in int; without a rest of three there is no padding
    constexpr std::size_t most = 3 * 64 * 1024;

    to += '"';

    while (!data.empty()) {
        const auto part = data.first(std::min(most, data.size()));
        const std::size_t end = to.size();
        const std::size_t length = (part.size() + 2) / 3 * 4;

        to.resize(end + length + 1); // it writes a zero behind
        EVP_EncodeBlock(reinterpret_cast<unsigned char *>(to.data() + end),
                        reinterpret_cast<const unsigned char *>(part.data()),
                        static_cast<int>(part.size()));
        to.pop_back();
        data = data.subspan(part.size());
    }

    to += '"';
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

} // namespace

std::string quoted(std::string_view text)
{
    return nlohmann::json(text).dump(-1, ' ', false,
                                     nlohmann::json::error_handler_t::replace);
}

std::string welcome(const greeting &words)
{
    std::string made = R"({"type":"welcome","client":)";

    append_client(made, words.client);
    made.append(",\"room\":").append(words.room).append(",\"last\":");
    append_id(made, words.last);
    made.append(",\"clients\":").append(std::to_string(words.clients));
    made.append(",\"recovered\":").append(words.recovered ? "true" : "false");
    return made += '}';
}

std::string published_message(const message &given)
{
    std::string made;

    made.reserve(given.data.size() * 4 / 3 + 128);
    made.append(R"({"type":"message","id":)");
    append_id(made, given.id);
    made.append(",\"time\":").append(std::to_string(given.time));
    made.append(",\"from\":");
    append_client(made, given.from);

    if (given.kind == opcode::text) {
        made.append(",\"data\":");
        append_text(made, given.text());
    } else {
        made.append(",\"base64\":");
        append_base64(made, given.data);
    }

    return made += '}';
}

std::string presence(std::string_view type, std::uint64_t client,
                     std::uint64_t clients)
{
    std::string made = "{\"type\":\"";

    made.append(type).append("\",\"client\":");
    append_client(made, client);
    made.append(",\"clients\":").append(std::to_string(clients));
    return made += '}';
}

std::string published(std::string_view ref, message_id id)
{
    std::string made = "{\"type\":\"published\"";

    append_ref(made, ref);
    made.append(",\"id\":");
    append_id(made, id);
    return made += '}';
}

std::string pong(std::string_view ref)
{
    std::string made = R"({"type":"pong")";

    append_ref(made, ref);
    return made += '}';
}

std::string error(std::string_view ref, std::string_view words)
{
    std::string made = "{\"type\":\"error\"";

    append_ref(made, ref);
    made.append(",\"message\":\"").append(words).append("\"");
    return made += '}';
}

} // namespace websocket::handlers::room_json
