// Entries of a host's inbox, which other hosts write:
//
//     q HOST WORKER NUMBER\nBODY    a request; NUMBER 0: it wants no answer
//
//     a HOST WORKER NUMBER\nBODY    an answer
//
// HOST is the uid of the host that wrote the entry. WORKER and NUMBER identify
// the request at the host that asked. Numbers are decimal, and words are
// separated by one space.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace websocket::redis {

// Views of the text that was parsed.
struct inbox_entry {
    bool is_answer = false;
    std::string_view host;
    unsigned worker = 0; // its slot
    std::uint64_t number = 0;
    std::string_view body;
};

// Throws std::bad_alloc.
std::string write_inbox_entry(const inbox_entry &entry);

// Nullopt if the text is invalid.
std::optional<inbox_entry> parse_inbox_entry(std::string_view text) noexcept;

// A number below 2^55, never 0, for the id that Redis has given an entry: its
// milliseconds and its number within them. 0: the text is no id.
std::uint64_t inbox_entry_number(std::string_view id) noexcept;

} // namespace websocket::redis
