// Escapes untrusted text for the error log.
#include "protocol/text/printable.hpp"

#include "protocol/text/utf8.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>

namespace websocket::protocol {

namespace {

struct code_range {
    std::uint32_t first;
    std::uint32_t last;
};

// In order of code points.
constexpr code_range unprintable[] = {
    {0x0000, 0x001F},   // C0
    {0x007F, 0x009F},   // DEL and C1, in which U+0085 ends a line
    {0x061C, 0x061C},   // a mark of direction
    {0x200B, 0x200F},   // without width; marks of direction
    {0x2028, 0x202E},   // separators; embedding and override of direction
    {0x2060, 0x206F},   // without width; isolates of direction
    {0xFEFF, 0xFEFF},   // byte order mark
    {0xFFF9, 0xFFFB},   // interlinear annotation
    {0xE0000, 0xE007F}, // tags
};

bool prints(std::uint32_t code) noexcept
{
    const auto *range = std::find_if(
        std::begin(unprintable), std::end(unprintable),
        [code](const code_range &each) { return code <= each.last; });

    return range == std::end(unprintable) || code < range->first;
}

// The number of bytes of the character that begins with `lead`.
constexpr std::size_t announced(unsigned char lead) noexcept
{
    return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

std::uint32_t code_of(std::string_view character) noexcept
{
    const auto lead = static_cast<unsigned char>(character.front());
    std::uint32_t code =
        character.size() == 1 ? lead : lead & (0x7Fu >> character.size());

    for (const char next : character.substr(1)) {
        code = code << 6 | (static_cast<unsigned char>(next) & 0x3Fu);
    }

    return code;
}

// The size of the first character if it is printable, else 0.
std::size_t printed_size(std::string_view text) noexcept
{
    const std::string_view character =
        text.substr(0, announced(static_cast<unsigned char>(text.front())));

    return is_valid_utf8(std::as_bytes(std::span(character))) &&
                   prints(code_of(character))
               ? character.size()
               : 0;
}

using escape = std::array<char, 4>;

constexpr escape escaped(char c) noexcept
{
    constexpr std::string_view digits = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);

    return {'\\', 'x', digits[byte >> 4], digits[byte & 0xF]};
}

} // namespace

std::string_view print(std::string_view text, quotes how,
                       std::span<char> buffer) noexcept
{
    constexpr std::string_view cut = "...";
    std::size_t size = 0;
    // the longest output that leaves 3 bytes for "..."
    std::size_t size_if_cut = 0;

    while (!text.empty()) {
        const std::size_t printed = printed_size(text);
        const bool quoted = how == quotes::escaped &&
                            (text.front() == '"' || text.front() == '\\');
        const escape hex = escaped(text.front());
        const std::array<char, 2> pair{'\\', text.front()};
        const std::string_view piece =
            printed == 0 ? std::string_view{hex.data(), hex.size()}
            : quoted     ? std::string_view{pair.data(), pair.size()}
                         : text.substr(0, printed);

        if (piece.size() > buffer.size() - size) {
            size = size_if_cut + cut.copy(&buffer[size_if_cut], cut.size());
            break;
        }

        size += piece.copy(&buffer[size], piece.size());
        text.remove_prefix(std::max<std::size_t>(printed, 1));

        if (buffer.size() - size >= cut.size()) {
            size_if_cut = size;
        }
    }

    return {buffer.data(), size};
}

} // namespace websocket::protocol
