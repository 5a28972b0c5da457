// Parses and formats the entries of inboxes.
#include "redis/inbox_entry.hpp"

#include "broker/types.hpp"
#include "sdk/websocket_text.hpp"

namespace websocket::redis {

namespace {

// Removes the first word and returns it.
std::string_view take_word(std::string_view &text) noexcept
{
    const std::string_view word = text.substr(0, text.find(' '));

    text.remove_prefix(word.size() == text.size() ? word.size()
                                                  : word.size() + 1);
    return word;
}

} // namespace

std::string write_inbox_entry(const inbox_entry &entry)
{
    std::string text(entry.is_answer ? "a " : "q ");

    text.reserve(entry.host.size() + entry.body.size() + 40);
    text.append(entry.host).append(" ");
    text.append(std::to_string(entry.worker)).append(" ");
    text.append(std::to_string(entry.number)).append("\n");
    return text.append(entry.body);
}

std::optional<inbox_entry> parse_inbox_entry(std::string_view text) noexcept
{
    const std::size_t end = text.find('\n');
    std::string_view head = text.substr(0, end);
    const std::string_view type = take_word(head);
    const std::string_view host = take_word(head);
    const auto worker = detail::decimal(take_word(head));
    const auto number = detail::decimal(head);

    if (end == text.npos || (type != "q" && type != "a") || host.empty() ||
        !worker || *worker >= broker::max_slots || !number) {
        return std::nullopt;
    }

    return inbox_entry{type == "a", host, static_cast<unsigned>(*worker),
                       *number, text.substr(end + 1)};
}

std::uint64_t inbox_entry_number(std::string_view id) noexcept
{
    const auto parts = detail::parse_id(id);
    constexpr std::uint64_t most = (std::uint64_t{1} << 55) - 1;

    return parts ? (parts->epoch << 14 ^ parts->sequence) & most : 0;
}

} // namespace websocket::redis
