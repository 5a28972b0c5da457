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
            add_text(each.name);
            add_text(each.text);
        }
    }

    rooms_at_ = static_cast<std::uint32_t>(bytes_.size());

    if (const json_member *rooms = find_member(claims, "rooms");
        rooms != nullptr && rooms->kind == json_kind::array) {
        add_rooms(*rooms);
    }

    bytes_.shrink_to_fit();
}

void token::add_text(std::string_view text)
{
    const auto size = static_cast<std::uint32_t>(text.size());

    bytes_.append(reinterpret_cast<const char *>(&size), sizeof(size));
    bytes_ += text;
}

void token::add_rooms(const json_member &rooms)
{
    // Outlives the views of its texts
    const json_members elements =
        read_array(rooms.text).value_or(json_members{});
    std::vector<std::string_view> names;
    std::vector<std::string_view> prefixes;

    for (const json_member &each : elements) {
        const std::string_view name = each.text;

        if (each.kind != json_kind::string) {
            continue;
        }

        if (name.ends_with('*')) {
            prefixes.push_back(name.substr(0, name.size() - 1));
        } else {
            names.push_back(name);
        }
    }

    std::ranges::sort(names);
    std::ranges::sort(prefixes);

    // One that begins with another one follows that
    const auto end =
        std::unique(prefixes.begin(), prefixes.end(), [](auto kept, auto next) {
            return next.starts_with(kept);
        });

    prefixes.erase(end, prefixes.end());
    rooms_ = add_table(names);
    room_prefixes_ = add_table(prefixes);
}

token::name_table token::add_table(const std::vector<std::string_view> &sorted)
{
    std::string offsets;

    for (const std::string_view name : sorted) {
        const auto offset = static_cast<std::uint32_t>(bytes_.size());

        offsets.append(reinterpret_cast<const char *>(&offset), sizeof(offset));
        add_text(name);
    }

    const name_table added{static_cast<std::uint32_t>(bytes_.size()),
                           static_cast<std::uint32_t>(sorted.size())};

    bytes_ += offsets;
    return added;
}

std::uint32_t token::number_at(std::size_t offset) const noexcept
{
    std::uint32_t number;

    std::memcpy(&number, bytes_.data() + offset, sizeof(number));
    return number;
}

std::optional<std::string_view>
token::last_up_to(const name_table &table, std::string_view text) const noexcept
{
    std::optional<std::string_view> last;
    std::size_t begin = 0;
    std::size_t end = table.count;

    while (begin != end) {
        const std::size_t middle = (begin + end) / 2;
        const std::size_t at =
            number_at(table.at + middle * sizeof(std::uint32_t));
        const std::string_view name = std::string_view(bytes_).substr(
            at + sizeof(std::uint32_t), number_at(at));

        if (name <= text) {
            last = name;
            begin = middle + 1;
        } else {
            end = middle;
        }
    }

    return last;
}

// The sizes are those that add_text() has written.
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
    const auto same = last_up_to(rooms_, room);

    // All between a prefix of the room and the room begin with that prefix
    const auto prefix = last_up_to(room_prefixes_, room);

    return (same && *same == room) || (prefix && room.starts_with(*prefix));
}

const char *subject_error(std::string_view subject) noexcept
{
    return subject.size() > max_subject_size
               ? "\"sub\" is longer than 256 bytes"
           : has_control_character(subject) ? "\"sub\" has a control character"
                                            : nullptr;
}

} // namespace websocket::tokens
