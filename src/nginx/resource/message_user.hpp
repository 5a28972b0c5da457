// The user of the client that has published a message. It precedes the payload
// in the logs, after a byte with its size, if the message's kind says so.
#pragma once

#include "broker/types.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "sdk/websocket_plugin.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace websocket::nginx {

inline constexpr std::size_t max_user_size = 256;

// A publication as it is stored. Borrows the one that it is made of.
class stored_publication {
public:
    // `user`: UTF-8 of at most max_user_size bytes; any other is omitted.
    stored_publication(const broker::publication &source,
                       std::string_view user) noexcept;

    // False: no memory.
    explicit operator bool() const noexcept { return complete_; }
    const broker::publication &get() const noexcept { return stored_; }

private:
    broker::publication stored_;
    std::unique_ptr<std::byte[]> bytes_; // null without a user
    bool complete_ = true;
};

// The message as handlers get it. Borrows the message.
websocket_message_t as_plugin_message(const broker::message &message) noexcept;

} // namespace websocket::nginx
