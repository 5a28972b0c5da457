// Scans tokens of JSON (RFC 8259) without building values, since the text of a
// client may be large.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace websocket::handlers {

// Borrows the text. A function that returns false has found an error; the
// position is then within the token.
class json_scanner {
public:
    explicit json_scanner(std::string_view text) noexcept : text_{text} {}

    std::size_t position() const noexcept { return at_; }
    bool ended() const noexcept { return at_ == text_.size(); }

    // The next character, or zero at the end.
    char next() const noexcept { return ended() ? '\0' : text_[at_]; }

    std::string_view since(std::size_t position) const noexcept
    {
        return text_.substr(position, at_ - position);
    }

    // Skips `wanted`. Returns false if something else is next.
    bool take(char wanted) noexcept
    {
        const bool there = !ended() && text_[at_] == wanted;

        at_ += there ? 1 : 0;
        return there;
    }

    bool take(std::string_view wanted) noexcept
    {
        const bool there = text_.substr(at_).starts_with(wanted);

        at_ += there ? wanted.size() : 0;
        return there;
    }

    void skip_space() noexcept
    {
        at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
    }

    // Skips a number. Its value must be finite as a double, as in JavaScript.
    bool number();

    // Skips a string with its quotes, and sets `to`, unless it is null, to the
    // decoded value. May throw std::bad_alloc.
    bool string(std::string *to);

private:
    std::string_view digits() noexcept;
    bool exponent(long &value) noexcept;
    bool plain_text() noexcept;
    bool escaped(std::string *to);
    bool escaped_code(std::string *to);
    bool four_digits(unsigned &code) noexcept;

    std::string_view text_;
    std::size_t at_ = 0;
};

} // namespace websocket::handlers
