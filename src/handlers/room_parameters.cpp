// Reading the parameters of the handler `room`.
#include "handlers/room_parameters.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <system_error>

namespace websocket::handlers {

namespace {

// Longest first, as they have to follow each other in nginx's times.
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

// A decimal number at the start of `text`, which loses it; or nothing.
std::optional<std::uint64_t> take_number(std::string_view &text)
{
    std::uint64_t number = 0;
    const char *end = text.data() + text.size();
    const auto [behind, error] = std::from_chars(text.data(), end, number);

    if (error != std::errc{}) {
        return std::nullopt;
    }

    text.remove_prefix(static_cast<std::size_t>(behind - text.data()));
    return number;
}

std::optional<std::uint64_t> number_of(std::string_view text)
{
    const auto number = take_number(text);
    return text.empty() ? number : std::nullopt;
}

// The unit at the start of `text`, which loses it: its place in the list, or
// the list's size. A number alone is of seconds.
std::size_t take_unit(std::string_view &text)
{
    constexpr std::size_t seconds = 6;
    const std::size_t length =
        std::min(text.find_first_of("0123456789"), text.size());
    const std::string_view name = text.substr(0, length);
    std::size_t found = 0;

    text.remove_prefix(length);

    if (name.empty()) {
        return seconds;
    }

    while (found != units.size() && units[found].name != name) {
        found++;
    }

    return found;
}

// Milliseconds, of a time as in nginx's own directives: "30s", "1h30m".
std::optional<std::uint64_t> time_of(std::string_view text)
{
    constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
    std::uint64_t total = 0;
    std::size_t next_unit = 0;

    do {
        const auto number = take_number(text);
        const std::size_t at = take_unit(text);

        if (!number || at == units.size() || at < next_unit ||
            *number > (most - total) / units[at].milliseconds) {
            return std::nullopt;
        }

        total += *number * units[at].milliseconds;
        next_unit = at + 1;
    } while (!text.empty());

    return total;
}

std::string refusal(std::string_view name, std::string_view allowed,
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

std::string set_switch(bool &which, std::string_view name,
                       std::string_view value)
{
    if (value != "on" && value != "off") {
        return refusal(name, "\"on\" or \"off\"", value);
    }

    which = value == "on";
    return {};
}

std::string set_history(std::uint64_t &history, std::string_view value)
{
    const auto number = number_of(value);

    if (!number) {
        return refusal("history", "a number of messages", value);
    }

    history = *number;
    return {};
}

std::string set_history_time(std::uint64_t &time, std::string_view value)
{
    const auto given = time_of(value);

    if (!given || *given == 0) {
        return refusal("history_time",
                       "a time like 30s, 5m, 1h, 1d or 500ms, larger than 0",
                       value);
    }

    time = *given;
    return {};
}

} // namespace

std::string room_parameters::set(std::string_view name, std::string_view value)
{
    constexpr std::array<std::string_view, 5> names{
        "history", "history_time", "presence", "publish", "self"};
    std::size_t at = 0;

    while (at != names.size() && names[at] != name) {
        at++;
    }

    if (at == names.size()) {
        return "there is no parameter \"" + std::string(name) +
               "\", only history, history_time, presence, publish, self";
    }

    if ((given_ & 1U << at) != 0) {
        return "\"" + std::string(name) + "\" is given twice";
    }

    given_ |= 1U << at;

    switch (at) {
    case 0:
        return set_history(history, value);
    case 1:
        return set_history_time(history_time, value);
    case 2:
        return set_switch(presence, name, value);
    case 3:
        return set_switch(publish, name, value);
    default:
        return set_switch(self, name, value);
    }
}

std::string room_parameters::check() const
{
    return history_time != 0 && history == 0
               ? "\"history_time\" needs \"history\", the number of messages "
                 "that are kept at most"
               : "";
}

} // namespace websocket::handlers
