// The subprotocol room.v1.json: JSON objects between a room and its clients.
//
// Text arguments must be UTF-8 unless stated. All functions may throw
// std::bad_alloc.
#pragma once

#include "sdk/websocket_message.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace websocket::handlers::room_json {

inline constexpr std::string_view subprotocol = "room.v1.json";

// An object from a client.
struct request {
    std::string data{};
    std::string ref{};   // JSON, as received; empty: none
    std::string token{}; // a newer one, without data; empty: none
    std::string error{}; // a message for the client; empty: valid
    bool ping = false;   // requests a pong, without data
};

request parse(std::string_view text);

// Encodes text as a JSON string, with quotes. Invalid UTF-8 becomes U+FFFD.
std::string quoted(std::string_view text);

std::string base64(std::span<const std::byte> data);

struct welcome_info {
    std::uint64_t client;
    std::string_view room; // as JSON
    message_id last;
    std::uint64_t clients;
    bool recovered;
};

std::string welcome(const welcome_info &info);

// `room`: its name as JSON, a member of the object; "" for room.v1.json.
std::string published_message(const message &source,
                              std::string_view room = {});

// A message for one client, without an id.
std::string direct_message(const message &source);

// `type` is "joined" or "left". `client` 0 means unknown or several clients. An
// event of a client without a user has no user.
std::string presence(std::string_view type, std::uint64_t client,
                     std::uint64_t clients, std::string_view room = {},
                     std::string_view user = {});

std::string gap(std::string_view room = {});

std::string published(std::string_view ref, message_id id,
                      std::string_view room = {});

std::string pong(std::string_view ref);

// In reply to a token. `expires` is in ms since 1970; 0: never.
std::string token(std::string_view ref, std::uint64_t expires);

std::string error(std::string_view ref, std::string_view text);

} // namespace websocket::handlers::room_json
