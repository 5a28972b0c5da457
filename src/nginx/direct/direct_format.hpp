// The form of a message for one client or user in the log of a worker.
#pragma once

#include "nginx/direct/direct_target.hpp"
#include "sdk/websocket_text.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace websocket::nginx {

// The texts borrow the bytes.
struct direct_entry {
    direct_target target;
    std::span<const std::byte> payload;
};

// Throws std::bad_alloc.
inline std::string write_direct(const direct_target &target,
                                std::span<const std::byte> payload)
{
    std::string text;

    text.reserve(payload.size() + target.handler.size() + target.key.size() +
                 target.name.size() + 16);
    text += target.is_user ? '@' : '#';

    for (const std::string_view part :
         {target.handler, target.key, target.name}) {
        text.append(std::to_string(part.size())).append(":").append(part);
    }

    return text.append(reinterpret_cast<const char *>(payload.data()),
                       payload.size());
}

// Removes one part from the beginning. Nothing: it is not complete.
inline std::optional<std::string_view> take_part(std::string_view &rest)
{
    const std::size_t colon = rest.find(':');
    const auto size = colon == rest.npos
                          ? std::nullopt
                          : detail::decimal(rest.substr(0, colon));

    if (!size || *size > rest.size() - colon - 1) {
        return std::nullopt;
    }

    const std::string_view part =
        rest.substr(colon + 1, static_cast<std::size_t>(*size));

    rest.remove_prefix(colon + 1 + part.size());
    return part;
}

// Nothing: the bytes are of another form.
inline std::optional<direct_entry> read_direct(std::span<const std::byte> bytes)
{
    std::string_view rest{reinterpret_cast<const char *>(bytes.data()),
                          bytes.size()};
    const bool is_user = rest.starts_with('@');

    rest.remove_prefix(rest.empty() ? 0 : 1);

    const auto handler = take_part(rest);
    const auto key = handler ? take_part(rest) : std::nullopt;
    const auto name = key ? take_part(rest) : std::nullopt;

    if (!name) {
        return std::nullopt;
    }

    return direct_entry{{*handler, *key, is_user, *name},
                        std::as_bytes(std::span(rest))};
}

// The code and the reason in the payload of a Close (RFC 6455 5.5.1), which has
// both.
inline std::pair<std::uint16_t, std::string_view>
read_close(std::span<const std::byte> payload) noexcept
{
    const auto high = std::to_integer<unsigned>(payload[0]);
    const auto low = std::to_integer<unsigned>(payload[1]);
    const auto reason = payload.subspan(2);

    return {static_cast<std::uint16_t>(high << 8 | low),
            {reinterpret_cast<const char *>(reason.data()), reason.size()}};
}

} // namespace websocket::nginx
