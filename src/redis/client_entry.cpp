// Formats and parses the entries of clients.
#include "redis/client_entry.hpp"

#include "sdk/websocket_text.hpp"

namespace websocket::redis {

namespace {

constexpr std::string_view version = "1 ";

} // namespace

std::string format_client_entry(const client_entry &entry)
{
    std::string text(version);

    text.append(std::to_string(entry.sequence)).append(" ");
    text.append(std::to_string(entry.state.size())).append("\n");
    return text.append(entry.state).append(entry.record);
}

std::optional<client_entry> parse_client_entry(std::string_view text) noexcept
{
    const std::size_t end = text.find('\n');

    if (end == text.npos || !text.starts_with(version)) {
        return std::nullopt;
    }

    const std::string_view head =
        text.substr(version.size(), end - version.size());
    const std::size_t space = head.find(' ');

    if (space == head.npos) {
        return std::nullopt;
    }

    const std::string_view body = text.substr(end + 1);
    const auto sequence = detail::decimal(head.substr(0, space));
    const auto size = detail::decimal(head.substr(space + 1));

    if (!sequence || !size || *size > body.size()) {
        return std::nullopt;
    }

    return client_entry{.sequence = *sequence,
                        .state = body.substr(0, *size),
                        .record = body.substr(*size)};
}

} // namespace websocket::redis
