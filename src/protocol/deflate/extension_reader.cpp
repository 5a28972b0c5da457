// Parses Sec-WebSocket-Extensions (RFC 6455 9.1) in one pass.
#include "protocol/deflate/extension_reader.hpp"

#include "protocol/text/tokens.hpp"

namespace websocket::protocol {

extension_reader::part extension_reader::next() noexcept
{
    if (malformed_) {
        return part::malformed;
    }

    skip_white_space();

    if (!between_extensions_) {
        if (take(';')) {
            return read_parameter();
        }

        if (!rest_.empty() && rest_.front() != ',') {
            return malformed();
        }
    }

    while (take(',')) {
        skip_white_space();
    }

    return rest_.empty() ? part::end : read_extension();
}

extension_reader::part extension_reader::read_extension() noexcept
{
    name_ = take_token(rest_);
    between_extensions_ = false;

    return name_.empty() ? malformed() : part::extension;
}

extension_reader::part extension_reader::read_parameter() noexcept
{
    skip_white_space();
    name_ = take_token(rest_);
    value_size_ = 0;

    if (name_.empty()) {
        return malformed();
    }

    skip_white_space();
    has_value_ = take('=');

    return has_value_ && !read_value() ? malformed() : part::parameter;
}

bool extension_reader::read_value() noexcept
{
    skip_white_space();

    if (take('"')) {
        return read_quoted_value();
    }

    const std::string_view token = take_token(rest_);

    for (const char c : token) {
        keep(c);
    }

    return !token.empty();
}

// After the backslashes are removed, a quoted value must be a token too.
bool extension_reader::read_quoted_value() noexcept
{
    for (bool empty = true; !rest_.empty(); empty = false) {
        if (take('"')) {
            return !empty;
        }

        take('\\');

        if (!is_token(rest_.substr(0, 1))) {
            return false;
        }

        keep(rest_.front());
        rest_.remove_prefix(1);
    }

    return false;
}

bool extension_reader::take(char expected) noexcept
{
    if (rest_.empty() || rest_.front() != expected) {
        return false;
    }

    rest_.remove_prefix(1);
    return true;
}

void extension_reader::skip_white_space() noexcept
{
    while (take(' ') || take('\t')) {}
}

void extension_reader::keep(char c) noexcept
{
    if (value_size_ < value_.size()) {
        value_[value_size_++] = c;
    }
}

extension_reader::part extension_reader::malformed() noexcept
{
    malformed_ = true;
    return part::malformed;
}

} // namespace websocket::protocol
