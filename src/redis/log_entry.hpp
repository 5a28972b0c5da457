// Entries of a shard's log, which hosts share: what has happened to
// a resource:
//
//     m SIZE RUN EPOCH-SEQUENCE KIND FROM TIME \n name payload    a message
//
//     t SIZE RUN KIND FROM \n name payload      an event that has no number
//
//     c SIZE RUN HOST CLIENTS LOST \n name      clients of a host now
//
// SIZE is that of the name, in bytes. RUN is that of Redis when the entry was
// posted: a host may get it from a replica. Numbers are decimal, words are
// separated by one space. Nothing separates the name from the payload.
#pragma once

#include "broker/types.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace websocket::redis {

// Views of the text that was parsed.
struct log_entry {
    enum class type { stored, transient, clients };

    type what = type::stored;
    std::string_view name; // of the resource's log
    std::uint32_t run = 0;
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
std::optional<log_entry> parse_log_entry(std::string_view text) noexcept;

// An entry under its id in the log.
struct numbered_entry {
    broker::message_id id;
    std::string_view text;
};

// Parses "ID ENTRY", without the entry. Nullopt if the text is invalid.
std::optional<numbered_entry>
parse_numbered_entry(std::string_view text) noexcept;

// Formats a transient entry. Throws std::bad_alloc.
std::string transient_entry(std::string_view name, std::uint32_t run,
                            std::uint8_t kind, std::uint64_t from,
                            std::string_view payload);

// Parses "EPOCH-SEQUENCE".
std::optional<broker::message_id>
parse_message_id(std::string_view text) noexcept;

} // namespace websocket::redis
