// Messages that hosts send on the channel of a resource:
//
//     m EPOCH-SEQUENCE KIND FROM TIME \n payload    a message that is stored
//
//     t KIND FROM \n payload                        one that is not
//
//     c HOST CLIENTS LOST \n                        clients of a host now
//
// Numbers are decimal, words are separated by one space.
#pragma once

#include "broker/types.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace websocket::redis {

// Views of the text that was parsed.
struct channel_message {
    enum class type { stored, transient, clients };

    type what = type::stored;
    broker::message_id id;  // stored
    std::uint8_t kind = 0;  // stored or transient
    std::uint64_t from = 0; // the same
    std::uint64_t time = 0; // stored
    std::string_view payload;

    std::string_view host; // clients
    std::uint32_t clients = 0;
    bool lost = false; // their host or worker died
};

// Nullopt if the text is invalid.
std::optional<channel_message>
parse_channel_message(std::string_view text) noexcept;

// Formats a transient message. Throws std::bad_alloc.
std::string transient_message(std::uint8_t kind, std::uint64_t from,
                              std::string_view payload);

// Parses "EPOCH-SEQUENCE".
std::optional<broker::message_id>
parse_message_id(std::string_view text) noexcept;

} // namespace websocket::redis
