// Writes events, and lists of rooms.
#include "handlers/events/event_text.hpp"

#include "handlers/room_json.hpp"
#include "sdk/websocket_text.hpp"

#include <algorithm>
#include <cstddef>

namespace websocket::handlers::event_text {

namespace {

constexpr std::string_view type_member = R"({"type":")";

std::string_view type_of(std::string_view json) noexcept
{
    if (!json.starts_with(type_member)) {
        return {};
    }

    json.remove_prefix(type_member.size());
    return json.substr(0, json.find('"'));
}

void append_field(std::string &to, std::string_view name,
                  std::string_view value)
{
    to.append(name).append(": ").append(value) += '\n';
}

// A field for each line: CR, LF and CR LF all end one.
void append_lines(std::string &to, std::string_view text)
{
    for (;;) {
        const std::size_t end = text.find_first_of("\r\n");

        append_field(to, "data", text.substr(0, end));

        if (end == text.npos) {
            return;
        }

        text.remove_prefix(end + (text.substr(end, 2) == "\r\n" ? 2 : 1));
    }
}

void append_source(std::string &to, const websocket::message &source)
{
    append_field(to, "id", to_string(source.id));
    append_field(to, "time", std::to_string(source.time));

    if (source.from != 0) {
        append_field(to, "from", std::to_string(source.from));
    }

    if (!source.user.empty()) {
        append_field(to, "user", room_json::quoted(source.user));
    }
}

constexpr bool is_kept(char each) noexcept
{
    return (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z') ||
           (each >= '0' && each <= '9') || each == '-' || each == '.' ||
           each == '_' || each == '~' || each == ':' || each == '/';
}

void append_encoded(std::string &to, std::string_view name)
{
    constexpr std::string_view digits = "0123456789ABCDEF";

    for (const char each : name) {
        const auto byte = static_cast<unsigned char>(each);

        if (is_kept(each)) {
            to += each;
        } else {
            (to += '%').append({digits[byte >> 4], digits[byte & 15]});
        }
    }
}

// A "%" without two digits stays, and "+" is no space.
std::string decoded(std::string_view name)
{
    std::string text;

    for (std::size_t i = 0; i != name.size(); i++) {
        const std::string_view digits = name.substr(i + 1, 2);
        const bool encoded = name[i] == '%' && digits.size() == 2 &&
                             detail::hex_value(digits[0]) >= 0 &&
                             detail::hex_value(digits[1]) >= 0;

        text += encoded ? static_cast<char>(detail::hex_value(digits[0]) * 16 +
                                            detail::hex_value(digits[1]))
                        : name[i];
        i += encoded ? 2 : 0;
    }

    return detail::repaired_text(text);
}

template <class Each>
void each_element(std::string_view list, Each each)
{
    while (!list.empty()) {
        const std::size_t end = std::min(list.find(','), list.size());

        if (end != 0) {
            each(list.substr(0, end));
        }

        list.remove_prefix(std::min(end + 1, list.size()));
    }
}

} // namespace

std::string object(std::string_view json, std::string_view id)
{
    std::string event;

    event.reserve(json.size() + id.size() + 64);
    append_field(event, "event", type_of(json));

    if (!id.empty()) {
        append_field(event, "id", id);
    }

    append_field(event, "data", json);
    return event += '\n';
}

std::string message(const websocket::message &source)
{
    std::string event;

    if (source.kind == opcode::text) {
        append_source(event, source);
        append_lines(event, source.text());

        if (source.text().find('\r') != std::string_view::npos) {
            append_field(event, "base64", room_json::base64(source.data));
        }

    } else {
        append_field(event, "event", "binary");
        append_source(event, source);
        append_field(event, "data", room_json::base64(source.data));
    }

    return event += '\n';
}

std::string message_object(std::string_view json, std::string_view id)
{
    std::string event;

    event.reserve(json.size() + id.size() + 32);
    append_field(event, "id", id);
    append_field(event, "data", json);
    return event += '\n';
}

void append_position(std::string &list, std::string_view room, message_id last)
{
    if (!list.empty()) {
        list += ',';
    }

    append_encoded(list, room);
    (list += '=').append(to_string(last));
}

std::map<std::string, std::string, std::less<>>
read_positions(std::string_view list)
{
    std::map<std::string, std::string, std::less<>> positions;

    each_element(list, [&positions](std::string_view element) {
        const std::size_t end = std::min(element.find('='), element.size());

        positions.insert_or_assign(
            decoded(element.substr(0, end)),
            std::string(element.substr(std::min(end + 1, element.size()))));
    });
    return positions;
}

std::vector<std::string> read_names(std::string_view list)
{
    std::vector<std::string> names;

    each_element(list, [&names](std::string_view element) {
        names.push_back(decoded(element));
    });
    return names;
}

} // namespace websocket::handlers::event_text
