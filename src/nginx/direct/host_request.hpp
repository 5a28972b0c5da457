// The form of requests for single clients and users that hosts send each other,
// and of answers that are numbers.
#pragma once

#include "nginx/direct/direct_format.hpp"
#include "nginx/direct/direct_target.hpp"
#include "sdk/websocket_text.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace websocket::nginx {

// The texts borrow what was read. A page of users: its target is the user after
// which it begins, and its payload the most users of it as a decimal number.
struct host_request {
    enum class type : char { message = 'm', count = 'c', users = 'u' };

    type what = type::count;
    std::uint8_t message_kind = 0; // of a message: see direct_message
    direct_target target{};
    std::span<const std::byte> payload{};
};

// Throws std::bad_alloc.
inline std::string write_host_request(const host_request &request)
{
    const std::string head{static_cast<char>(request.what),
                           static_cast<char>(request.message_kind)};

    return head + write_direct(request.target, request.payload);
}

// Nothing: the text is of another form.
inline std::optional<host_request> read_host_request(std::string_view text)
{
    if (text.size() < 2) {
        return std::nullopt;
    }

    const auto what = static_cast<host_request::type>(text[0]);
    const auto rest = read_direct(std::as_bytes(std::span(text.substr(2))));

    if (!rest || (what != host_request::type::message &&
                  what != host_request::type::count &&
                  what != host_request::type::users)) {
        return std::nullopt;
    }

    return host_request{what, static_cast<std::uint8_t>(text[1]), rest->target,
                        rest->payload};
}

// The answer to a message or a count.
struct reached_clients {
    std::uint32_t clients = 0;
    bool no_memory = false; // some of them do not get the message
};

// Throws std::bad_alloc.
inline std::string write_reached_clients(const reached_clients &count)
{
    return std::to_string(count.clients) + (count.no_memory ? "!" : "");
}

// Of an invalid text 0.
inline reached_clients read_reached_clients(std::string_view text) noexcept
{
    const bool no_memory = text.ends_with('!');
    const auto number =
        detail::decimal(text.substr(0, text.size() - (no_memory ? 1 : 0)));

    return {static_cast<std::uint32_t>(number.value_or(0)), no_memory};
}

} // namespace websocket::nginx
