// What hosts tell each other of a resource on its channel, and how that is
// written:
//
//     m EPOCH-SEQUENCE KIND FROM TIME \n payload    a message that is stored
//     t KIND FROM \n payload                        one that is not
//     c HOST CLIENTS LOST \n                        a host's clients now
//
// Numbers are decimal, the words one space apart.
#pragma once

#include "broker/types.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace websocket::redis {

// The text lies in what it was read from.
struct channel_message {
    enum class type { stored, transient, clients };

    type what = type::stored;
    broker::message_id id;  // stored
    std::uint8_t kind = 0;  // stored or passing
    std::uint64_t from = 0; // the same
    std::uint64_t time = 0; // stored
    std::string_view payload;

    std::string_view host; // clients
    std::uint32_t clients = 0;
    bool lost = false; // they did not leave: their host or worker died
};

// Nothing if it is none.
std::optional<channel_message>
parse_channel_message(std::string_view text) noexcept;

// A passing one, as it is written. Throws std::bad_alloc.
std::string transient_message(std::uint8_t kind, std::uint64_t from,
                              std::string_view payload);
// "EPOCH-SEQUENCE".
std::optional<broker::message_id>
parse_message_id(std::string_view text) noexcept;

} // namespace websocket::redis
