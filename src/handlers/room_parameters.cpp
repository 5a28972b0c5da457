// Parses the parameters of the handler `room`.
#include "handlers/room_parameters.hpp"

#include "sdk/websocket_text.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

namespace websocket::handlers {

namespace {

// Longest first: the order that nginx requires within a time.
struct unit {
    std::string_view name;
    std::uint64_t milliseconds;
};

constexpr std::uint64_t day = 24ULL * 60 * 60 * 1000;
constexpr std::array<unit, 8> units{{{"y", 365 * day},
                                     {"M", 30 * day},
                                     {"w", 7 * day},
                                     {"d", day},
                                     {"h", 60 * 60 * 1000},
                                     {"m", 60 * 1000},
                                     {"s", 1000},
                                     {"ms", 1}}};

constexpr std::string_view digits = "0123456789";

// Parses a decimal at the start of `text` and removes it.
std::optional<std::uint64_t> consume_number(std::string_view &text)
{
    const std::size_t size =
        std::min(text.find_first_not_of(digits), text.size());
    const auto number = detail::decimal(text.substr(0, size));

    text.remove_prefix(size);
    return number;
}

// Parses a unit at the start of `text` and removes it. Returns its index in
// units, or units.size() if unknown. No unit means seconds.
std::size_t consume_unit(std::string_view &text)
{
    constexpr std::size_t seconds = 6;
    const std::size_t length =
        std::min(text.find_first_of(digits), text.size());
    const std::string_view name = text.substr(0, length);
    std::size_t index = 0;

    text.remove_prefix(length);

    if (name.empty()) {
        return seconds;
    }

    while (index != units.size() && units[index].name != name) {
        index++;
    }

    return index;
}

// Parses a time in nginx's syntax, such as "30s" or "1h30m", to milliseconds.
std::optional<std::uint64_t> parse_time(std::string_view text)
{
    constexpr std::uint64_t max = std::numeric_limits<std::int64_t>::max();
    std::uint64_t total = 0;
    std::size_t next_unit = 0;

    do {
        const auto number = consume_number(text);
        const std::size_t index = consume_unit(text);

        if (!number || index == units.size() || index < next_unit ||
            *number > (max - total) / units[index].milliseconds) {
            return std::nullopt;
        }

        total += *number * units[index].milliseconds;
        next_unit = index + 1;
    } while (!text.empty());

    return total;
}

std::string error_text(std::string_view name, std::string_view allowed,
                       std::string_view value)
{
    return std::string("\"")
        .append(name)
        .append("\" takes ")
        .append(allowed)
        .append(", not \"")
        .append(value)
        .append("\"");
}

std::string set_switch(bool &target, std::string_view name,
                       std::string_view value)
{
    if (value != "on" && value != "off") {
        return error_text(name, "\"on\" or \"off\"", value);
    }

    target = value == "on";
    return {};
}

std::string set_history(std::uint64_t &history, std::string_view value)
{
    const auto number = detail::decimal(value);

    if (!number) {
        return error_text("history", "a number of messages", value);
    }

    history = *number;
    return {};
}

std::string set_history_time(std::uint64_t &time, std::string_view value)
{
    const auto parsed = parse_time(value);

    if (!parsed || *parsed == 0) {
        return error_text("history_time",
                          "a time like 30s, 5m, 1h, 1d or 500ms, larger than 0",
                          value);
    }

    time = *parsed;
    return {};
}

std::string check_grace(std::string_view value)
{
    const auto parsed = parse_time(value);

    if (!parsed || *parsed > day) {
        return error_text("presence_grace",
                          "a time like 0, 2s, 1m or 500ms, up to 1d", value);
    }

    return {};
}

} // namespace

std::uint64_t room_parameters::grace_of(std::string_view value)
{
    constexpr std::uint64_t default_grace = 2000;

    return value.empty() ? default_grace
                         : parse_time(value).value_or(default_grace);
}

std::string room_parameters::set(std::string_view name, std::string_view value)
{
    constexpr std::array<std::string_view, 7> names{
        "history", "history_time", "presence", "presence_grace",
        "publish", "self",         "access"};
    const std::size_t known = names.size() - (pattern_ ? 0 : 1);
    std::size_t index = 0;

    if (name == "*") {
        pattern_ = true;
        return {};
    }

    while (index != known && names[index] != name) {
        index++;
    }

    if (index == known) {
        return "unknown parameter \"" + std::string(name) +
               "\"; available: history, history_time, presence, "
               "presence_grace, publish, self" +
               (pattern_ ? ", access" : "");
    }

    if ((seen_ & 1U << index) != 0) {
        return "\"" + std::string(name) + "\" is given twice";
    }

    seen_ |= 1U << index;

    switch (index) {
    case 0:
        return set_history(history, value);
    case 1:
        return set_history_time(history_time, value);
    case 2:
        return set_switch(presence, name, value);
    case 3:
        has_grace = true;
        return check_grace(value);
    case 4:
        return set_publish(value);
    case 5:
        return set_switch(self, name, value);
    default:
        return set_access(value);
    }
}

std::string room_parameters::set_publish(std::string_view value)
{
    publish_open = pattern_ && value == "open";

    if (publish_open) {
        return {};
    }

    return pattern_ && value != "on" && value != "off"
               ? error_text("publish", "\"on\", \"off\" or \"open\"", value)
               : set_switch(publish, "publish", value);
}

std::string room_parameters::set_access(std::string_view value)
{
    needs_token = value == "token";

    return needs_token || value == "open"
               ? ""
               : error_text("access", "\"open\" or \"token\"", value);
}

std::string room_parameters::check() const
{
    if (has_grace && !presence) {
        return "\"presence_grace\" requires \"presence=on\"";
    }

    return history_time != 0 && history == 0
               ? "\"history_time\" requires \"history\", the maximum number of "
                 "messages"
               : "";
}

} // namespace websocket::handlers
