// Tokens and comma separated lists of HTTP header fields (RFC 9110 5.6).
#include "protocol/text/tokens.hpp"

#include <algorithm>
#include <cstddef>

namespace websocket::protocol {

namespace {

constexpr bool is_white_space(char c) noexcept
{
    return c == ' ' || c == '\t';
}

constexpr bool is_alphanumeric(char c) noexcept
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
           (c >= 'a' && c <= 'z');
}

constexpr bool is_token_char(char c) noexcept
{
    constexpr std::string_view others = "!#$%&'*+-.^_`|~";
    return is_alphanumeric(c) || others.find(c) != std::string_view::npos;
}

// tolower() of the C library depends on the locale; header fields do not.
constexpr char lower(char c) noexcept
{
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

} // namespace

std::string_view trim_white_space(std::string_view text) noexcept
{
    while (!text.empty() && is_white_space(text.front())) {
        text.remove_prefix(1);
    }
    while (!text.empty() && is_white_space(text.back())) {
        text.remove_suffix(1);
    }
    return text;
}

bool is_token(std::string_view text) noexcept
{
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), is_token_char);
}

std::string_view take_token(std::string_view &text) noexcept
{
    const auto end = std::find_if_not(text.begin(), text.end(), is_token_char);
    const std::string_view token(text.begin(), end);
    text.remove_prefix(token.size());
    return token;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept
{
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return lower(x) == lower(y); });
}

token_list::iterator &token_list::iterator::operator++() noexcept
{
    do {
        const std::size_t comma = std::min(rest_.find(','), rest_.size());
        element_ = trim_white_space(rest_.substr(0, comma));
        rest_.remove_prefix(std::min(comma + 1, rest_.size()));
    } while (element_.empty() && !rest_.empty());
    return *this;
}

bool list_has_token(std::string_view list, std::string_view token) noexcept
{
    for (const std::string_view element : token_list(list)) {
        if (equals_ignoring_case(element, token)) {
            return true;
        }
    }
    return false;
}

} // namespace websocket::protocol
