// Parses and formats the entries of a log.
#include "redis/log_entry.hpp"

#include "sdk/websocket_text.hpp"

#include <limits>

namespace websocket::redis {

namespace {

// Parses the header of a message, word by word. A missing word is empty, which
// is no number.
class word_reader {
public:
    explicit word_reader(std::string_view head) noexcept : left_{head} {}

    std::string_view next() noexcept
    {
        const std::string_view word = left_.substr(0, left_.find(' '));

        left_.remove_prefix(std::min(word.size() + 1, left_.size()));
        return word;
    }

    // A word that is no number, or a larger one, makes the header invalid.
    std::uint64_t number(std::uint64_t max) noexcept
    {
        const auto found = detail::decimal(next());

        valid_ = valid_ && found && *found <= max;
        return found.value_or(0);
    }

    broker::message_id id() noexcept
    {
        const auto found = parse_message_id(next());

        valid_ = valid_ && found;
        return found.value_or(broker::message_id{});
    }

    // Whether all words were valid, and none is left.
    bool done() const noexcept { return valid_ && left_.empty(); }

private:
    std::string_view left_;
    bool valid_ = true;
};

constexpr std::uint64_t any = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t any_kind = std::numeric_limits<std::uint8_t>::max();
constexpr std::uint64_t any_count = std::numeric_limits<std::uint32_t>::max();

} // namespace

std::optional<broker::message_id>
parse_message_id(std::string_view text) noexcept
{
    const auto parts = detail::parse_id(text);

    return parts ? std::optional(
                       broker::message_id{parts->epoch, parts->sequence})
                 : std::nullopt;
}

std::optional<log_entry> parse_log_entry(std::string_view text) noexcept
{
    const std::size_t end = text.find('\n');

    if (end == text.npos) {
        return std::nullopt;
    }

    log_entry result;
    word_reader head(text.substr(0, end));
    const std::string_view type = head.next();
    const std::string_view body = text.substr(end + 1);
    const std::uint64_t name_size = head.number(body.size());

    result.run = static_cast<std::uint32_t>(head.number(any_count));

    if (type == "m") {
        result.id = head.id();
        result.kind = static_cast<std::uint8_t>(head.number(any_kind));
        result.from = head.number(any);
        result.time = head.number(any);
    } else if (type == "t") {
        result.what = log_entry::type::transient;
        result.kind = static_cast<std::uint8_t>(head.number(any_kind));
        result.from = head.number(any);
    } else if (type == "c") {
        result.what = log_entry::type::clients;
        result.host = head.next();
        result.clients = static_cast<std::uint32_t>(head.number(any_count));
        result.lost = head.number(1) == 1;
    } else {
        return std::nullopt;
    }

    if (!head.done()) {
        return std::nullopt;
    }

    result.name = body.substr(0, name_size);
    result.payload = body.substr(name_size);
    return result;
}

std::optional<numbered_entry>
parse_numbered_entry(std::string_view text) noexcept
{
    const std::size_t end = text.find(' ');
    const auto id = parse_message_id(text.substr(0, end));

    return id && end != text.npos
               ? std::optional(numbered_entry{*id, text.substr(end + 1)})
               : std::nullopt;
}

std::string transient_entry(std::string_view name, std::uint32_t run,
                            std::uint8_t kind, std::uint64_t from,
                            std::string_view payload)
{
    return std::string("t ")
        .append(std::to_string(name.size()))
        .append(" ")
        .append(std::to_string(run))
        .append(" ")
        .append(std::to_string(kind))
        .append(" ")
        .append(std::to_string(from))
        .append("\n")
        .append(name)
        .append(payload);
}

} // namespace websocket::redis
