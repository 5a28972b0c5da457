// A client of an HTTP backend, as Redis keeps it for the hosts that send its
// disconnect event if its own host dies:
//
//     1 SEQUENCE SIZE \n state record
//
// SIZE is that of the state, in bytes. Numbers are decimal, words are separated
// by one space.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace websocket::redis {

// Views of the text that was parsed.
struct client_entry {
    std::uint64_t sequence = 0; // no event of the client has a higher one
    std::string_view state;
    std::string_view record; // the parts of the handshake
};

// Throws std::bad_alloc.
std::string format_client_entry(const client_entry &entry);

// Nullopt if the text is invalid, or from another version of the format.
std::optional<client_entry> parse_client_entry(std::string_view text) noexcept;

} // namespace websocket::redis
