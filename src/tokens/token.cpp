// Keeps the claims of a token in one block.
#include "tokens/token.hpp"

#include <algorithm>
#include <cstring>

namespace websocket::tokens {

namespace {

constexpr std::size_t max_subject_size = 256;

bool is_control_character(char letter) noexcept
{
    return static_cast<unsigned char>(letter) < 0x20 || letter == 0x7F;
}

bool has_control_character(std::string_view text) noexcept
{
    return std::any_of(text.begin(), text.end(), is_control_character);
}

// As nginx does with names of variables.
char folded(char letter) noexcept
{
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + 32)
           : (letter >= 'a' && letter <= 'z') ||
                   (letter >= '0' && letter <= '9')
               ? letter
               : '_';
}

bool matches(std::string_view a, std::string_view b) noexcept
{
    return a.size() == b.size() &&
           std::equal(a.begin(), a.end(), b.begin(),
                      [](char x, char y) { return folded(x) == folded(y); });
}

} // namespace

token::token(const json_members &claims, std::string_view subject,
             std::uint64_t expires)
    : bytes_{subject}, expires_{expires},
      subject_size_{static_cast<std::uint32_t>(subject.size())}
{
    for (const json_member &each : claims) {
        if (!has_control_character(each.text)) {
            add(each.name, each.text);
        }
    }

    rooms_at_ = static_cast<std::uint32_t>(bytes_.size());

    if (const json_member *rooms = find_member(claims, "rooms");
        rooms != nullptr && rooms->kind == json_kind::array) {
        add_rooms(*rooms);
    }

    bytes_.shrink_to_fit();
}

void token::add(std::string_view name, std::string_view value)
{
    for (const std::string_view text : {name, value}) {
        const auto size = static_cast<std::uint32_t>(text.size());

        bytes_.append(reinterpret_cast<const char *>(&size), sizeof(size));
        bytes_ += text;
    }
}

void token::add_rooms(const json_member &rooms)
{
    const auto names = read_array(rooms.text);

    for (const json_member &each : names ? *names : json_members{}) {
        if (each.kind == json_kind::string) {
            add(each.text, {});
        }
    }
}

// The sizes are those that add() has written.
token::pair token::take(std::string_view &packed) noexcept
{
    const auto take_text = [&packed] {
        std::uint32_t size;

        std::memcpy(&size, packed.data(), sizeof(size));

        const std::string_view text = packed.substr(sizeof(size), size);

        packed.remove_prefix(sizeof(size) + size);
        return text;
    };

    const std::string_view name = take_text();

    return {name, take_text()};
}

std::optional<std::string_view>
token::claim(std::string_view name) const noexcept
{
    std::string_view packed = std::string_view(bytes_).substr(
        subject_size_, rooms_at_ - subject_size_);
    std::optional<std::string_view> found;

    while (!packed.empty()) {
        const pair each = take(packed);

        if (each.name == name) {
            return each.value;
        }

        if (!found && matches(each.name, name)) {
            found = each.value;
        }
    }

    return found;
}

bool token::covers(std::string_view room) const noexcept
{
    std::string_view packed = std::string_view(bytes_).substr(rooms_at_);

    while (!packed.empty()) {
        const std::string_view name = take(packed).name;

        if (name == room ||
            (name.ends_with('*') &&
             room.starts_with(name.substr(0, name.size() - 1)))) {
            return true;
        }
    }

    return false;
}

const char *subject_error(std::string_view subject) noexcept
{
    return subject.size() > max_subject_size
               ? "\"sub\" is longer than 256 bytes"
           : has_control_character(subject) ? "\"sub\" has a control character"
                                            : nullptr;
}

} // namespace websocket::tokens
