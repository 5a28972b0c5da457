// Tokens and comma separated lists of HTTP header fields (RFC 9110 5.6).
#pragma once

#include <iterator>
#include <string_view>

namespace websocket::protocol {

// Removes spaces and tabs at both ends (OWS, RFC 9110 5.6.3).
std::string_view trim_white_space(std::string_view text) noexcept;

// Whether the text is one token: not empty, only tchar (RFC 9110 5.6.2).
bool is_token(std::string_view text) noexcept;

// Removes the longest token from the front of the text and returns it; empty if
// there is none.
std::string_view take_token(std::string_view &text) noexcept;

// Compares ignoring the case of ASCII letters. All other bytes, also above 127,
// must be equal.
bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept;

// The elements of one header value, in order, without white space around them.
// Empty elements are skipped (RFC 9110 5.6.1.2). An element is the text between
// two commas: it need not be a token, and quoted strings are not recognized.
// Borrows the value. Use it with range-for.
class token_list {
public:
    class iterator {
    public:
        explicit iterator(std::string_view value) noexcept : rest_(value)
        {
            ++*this;
        }

        std::string_view operator*() const noexcept { return element_; }
        iterator &operator++() noexcept;

        bool operator==(std::default_sentinel_t) const noexcept
        {
            return element_.empty();
        }

    private:
        std::string_view element_;
        std::string_view rest_;
    };

    explicit token_list(std::string_view value) noexcept : value_(value) {}

    iterator begin() const noexcept { return iterator(value_); }
    std::default_sentinel_t end() const noexcept { return {}; }

private:
    std::string_view value_;
};

// Whether an element of the list equals the token, ignoring case. Elements are
// compared whole: "keep-upgrade" does not match "upgrade".
bool list_has_token(std::string_view list, std::string_view token) noexcept;

} // namespace websocket::protocol
