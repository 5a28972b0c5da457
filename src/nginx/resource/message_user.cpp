// Writes and reads the user before a payload.
#include "nginx/resource/message_user.hpp"

#include "protocol/text/utf8.hpp"

#include <cstring>
#include <new>

namespace websocket::nginx {

stored_publication::stored_publication(const broker::publication &source,
                                       std::string_view user) noexcept
    : stored_{source}
{
    if (user.empty() || user.size() > max_user_size ||
        !protocol::is_valid_utf8(std::as_bytes(std::span(user)))) {
        return;
    }

    const std::size_t size = 1 + user.size() + source.payload.size();

    bytes_.reset(new (std::nothrow) std::byte[size]);

    if (!bytes_) {
        complete_ = false;
        return;
    }

    bytes_[0] = static_cast<std::byte>(user.size() - 1);
    std::memcpy(bytes_.get() + 1, user.data(), user.size());

    if (!source.payload.empty()) {
        std::memcpy(bytes_.get() + 1 + user.size(), source.payload.data(),
                    source.payload.size());
    }

    stored_.payload = {bytes_.get(), size};
    stored_.kind |= kind_with_user;
}

// The bytes may come from another host.
websocket_message_t as_plugin_message(const broker::message &message) noexcept
{
    std::span<const std::byte> payload = message.payload;
    std::string_view user;

    if ((message.kind & kind_with_user) != 0 && !payload.empty()) {
        const std::size_t size = std::to_integer<std::size_t>(payload[0]) + 1;

        if (size < payload.size()) {
            user = {reinterpret_cast<const char *>(payload.data()) + 1, size};
            payload = payload.subspan(1 + size);
        }
    }

    return {.size = sizeof(websocket_message_t),
            .version = WEBSOCKET_PLUGIN_VERSION,
            .kind = kind_of(message.kind),
            .id = {message.id.epoch, message.id.sequence},
            .time = message.time,
            .from = message.from,
            .data = payload.data(),
            .length = payload.size(),
            .transient = message.transient ? 1 : 0,
            .callback_bytes = 0,
            .user = {user.data(), user.size()}};
}

} // namespace websocket::nginx
