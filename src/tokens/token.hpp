// The claims of a token whose signature, times, issuer and audience have been
// verified (RFC 7519).
#pragma once

#include "tokens/json_members.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::tokens {

class token {
public:
    // The claims must be those of a verified token. Throws std::bad_alloc.
    token(const json_members &claims, std::string_view subject,
          std::uint64_t expires);

    std::string_view subject() const noexcept // empty: none
    {
        return std::string_view(bytes_).substr(0, subject_size_);
    }

    // In ms since 1970; 0: never.
    std::uint64_t expires() const noexcept { return expires_; }

    // A claim as text: the characters of a string, else JSON. Nothing if there
    // is none, or a string has control characters: it could end a header field.
    //
    // Without a claim of exactly this name, the first one matches whose name
    // differs only in the case of letters and has "_" for any character that is
    // neither letter nor digit, as names of nginx's variables require.
    std::optional<std::string_view> claim(std::string_view name) const noexcept;

    // Whether the claim "rooms", an array of names, has this name, or one with
    // "*" at its end that stands for what follows.
    bool covers(std::string_view room) const noexcept;

private:
    struct pair {
        std::string_view name;
        std::string_view value;
    };

    // Sorted names: the offsets of their sizes, as numbers of 32 bits.
    struct name_table {
        std::uint32_t at = 0;
        std::uint32_t count = 0;
    };

    void add_text(std::string_view text);
    void add_rooms(const json_member &rooms);
    name_table add_table(const std::vector<std::string_view> &sorted);

    std::uint32_t number_at(std::size_t offset) const noexcept;

    // The last name that is not greater. Nothing: all are.
    std::optional<std::string_view>
    last_up_to(const name_table &table, std::string_view text) const noexcept;

    static pair take(std::string_view &packed) noexcept;

    // The subject, claims, and names of rooms. One is kept for each client.
    std::string bytes_;
    std::uint64_t expires_;
    std::uint32_t subject_size_;
    std::uint32_t rooms_at_;
    name_table rooms_;         // without a "*"
    name_table room_prefixes_; // before the "*"; none begins with another one
};

// Why a text cannot be the subject, or null: it must be of at most 256 bytes
// without control characters.
const char *subject_error(std::string_view subject) noexcept;

} // namespace websocket::tokens
