// The members of a JSON object or array (RFC 8259), as strict as tokens need
// it: no name occurs twice in an object, and the depth is limited.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::tokens {

inline constexpr std::size_t max_json_depth = 16;

enum class json_kind : std::uint8_t {
    null,
    boolean,
    number,
    string,
    object,
    array
};

struct json_member {
    std::string name; // empty in an array
    json_kind kind;
    std::string text; // the characters of a string; of other values the JSON
};

using json_members = std::vector<json_member>;

// Nothing if the text is anything else. Throws std::bad_alloc.
std::optional<json_members> read_object(std::string_view text);
std::optional<json_members> read_array(std::string_view text);

// Null: no member has this name.
const json_member *find_member(const json_members &members,
                               std::string_view name) noexcept;

// The text of a string; null without a member of this name and kind.
const std::string *find_string(const json_members &members,
                               std::string_view name) noexcept;

} // namespace websocket::tokens
