// Reads a Sec-WebSocket-Extensions field part by part (RFC 6455 9.1).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace websocket::protocol {

// Iterates once over one field: an extension, its parameters, then the next
// extension. Borrows the field. White space is allowed between any two parts,
// as in all grammars of that time (RFC 2616 2.1). Empty list elements are
// skipped.
class extension_reader {
public:
    enum class part : std::uint8_t {
        extension, // see name()
        parameter, // see name(), has_value() and value()
        end,
        malformed, // the field breaks the grammar; final
    };

    explicit extension_reader(std::string_view field) noexcept : rest_{field} {}

    part next() noexcept;

    std::string_view name() const noexcept { return name_; }
    bool has_value() const noexcept { return has_value_; }

    // The value without its quotation marks, cut to 8 characters: no longer
    // value means anything here.
    std::string_view value() const noexcept
    {
        return {value_.data(), value_size_};
    }

private:
    part read_extension() noexcept;
    part read_parameter() noexcept;
    bool read_value() noexcept;
    bool read_quoted_value() noexcept;
    bool take(char expected) noexcept;
    void skip_white_space() noexcept;
    void keep(char c) noexcept;
    part malformed() noexcept;

    std::string_view rest_;
    std::string_view name_;
    std::array<char, 8> value_{};
    std::uint8_t value_size_ = 0;
    bool has_value_ = false;
    bool between_extensions_ = true;
    bool malformed_ = false;
};

} // namespace websocket::protocol
