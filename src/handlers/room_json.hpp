// The subprotocol room.v1.json: objects that a room and its clients exchange.
//
// Text that comes in here is UTF-8, unless it is said that it need not be.
// Everything may throw std::bad_alloc.
#pragma once

#include "sdk/websocket_message.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace websocket::handlers::room_json {

inline constexpr std::string_view subprotocol = "room.v1.json";

// What a client has sent.
struct request {
    std::string data{};
    std::string ref{};   // as it was written; empty: none
    std::string error{}; // in words; empty: it is as it should be
    bool ping = false;   // it asks for a pong, and has no data
};

request parse(std::string_view text);

// Text as JSON, with its quotes. What is not UTF-8 becomes U+FFFD.
std::string quoted(std::string_view text);

struct greeting {
    std::uint64_t client;
    std::string_view room; // as JSON
    message_id last;
    std::uint64_t clients;
    bool recovered;
};

std::string welcome(const greeting &words);

std::string published_message(const message &given);

// `type` is "joined" or "left", `client` 0 if it is not known who.
std::string presence(std::string_view type, std::uint64_t client,
                     std::uint64_t clients);

inline constexpr std::string_view gap = R"({"type":"gap"})";

std::string published(std::string_view ref, message_id id);

std::string pong(std::string_view ref);

// `words` have no character that JSON escapes.
std::string error(std::string_view ref, std::string_view words);

} // namespace websocket::handlers::room_json
