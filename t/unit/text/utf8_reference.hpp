// Checks UTF-8 with an encoder. A byte is possible at a place if the encoding
// of a code point has it there. This is slow, but has no other rule.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// The encoding of RFC 3629 section 3, for any value of up to 21 bits.
inline std::string encode_utf8(std::uint32_t value)
{
    const auto tail = [value](int shift) {
        return static_cast<char>(0x80 | (value >> shift & 0x3F));
    };
    if (value < 0x80) {
        return {static_cast<char>(value)};
    }
    if (value < 0x800) {
        return {static_cast<char>(0xC0 | value >> 6), tail(0)};
    }
    if (value < 0x10000) {
        return {static_cast<char>(0xE0 | value >> 12), tail(6), tail(0)};
    }
    return {static_cast<char>(0xF0 | value >> 18), tail(12), tail(6), tail(0)};
}

inline bool is_scalar_value(std::uint32_t value)
{
    return value < 0xD800 || (value > 0xDFFF && value < 0x110000);
}

class utf8_reference {
public:
    struct verdict {
        std::size_t first_impossible; // the text's size if there is none
        bool complete;
    };

    static verdict check(std::string_view text)
    {
        static const utf8_reference reference;
        std::size_t start = 0;
        std::size_t size = 0;
        std::uint32_t read = 0;
        while (start + size < text.size()) {
            read = read << 8 | static_cast<std::uint8_t>(text[start + size]);
            ++size;
            const kind found = reference.look_up(read, size);
            if (found == kind::impossible) {
                return {start + size - 1, false};
            }
            if (found == kind::whole) {
                start += size;
                size = 0;
                read = 0;
            }
        }
        return {text.size(), size == 0};
    }

private:
    enum class kind : std::uint8_t { impossible, begun, whole };

    utf8_reference()
    {
        for (std::uint32_t value = 0; value < 0x110000; ++value) {
            if (is_scalar_value(value)) {
                learn(encode_utf8(value));
            }
        }
    }

    void learn(const std::string &bytes)
    {
        std::uint32_t read = 0;
        for (std::size_t size = 1; size <= bytes.size(); ++size) {
            read = read << 8 | static_cast<std::uint8_t>(bytes[size - 1]);
            const bool whole = size == bytes.size();
            if (size < 4) {
                known_[size][read] = whole ? kind::whole : kind::begun;
            } else {
                four_[read & 0x7FFFFFF] = true;
            }
        }
    }

    // `read` has the first `size` bytes of a character.
    kind look_up(std::uint32_t read, std::size_t size) const
    {
        if (size < 4) {
            return known_[size][read];
        }
        return four_[read & 0x7FFFFFF] ? kind::whole : kind::impossible;
    }

    std::vector<kind> known_[4] = {{},
                                   std::vector<kind>(1 << 8),
                                   std::vector<kind>(1 << 16),
                                   std::vector<kind>(1 << 24)};
    // Indexed by all bits except the upper five of the lead byte, which were
    // checked with the first byte.
    std::vector<bool> four_ = std::vector<bool>(1 << 27);
};
