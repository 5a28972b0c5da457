// A slow inflater (RFC 1951) that is independent of zlib. It reports the
// largest distance of a stream and its number of blocks.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace reference {

struct inflated {
    std::string text;
    std::size_t farthest = 0; // the largest distance
    std::size_t blocks = 0;
};

class inflater {
public:
    // Inflates all blocks of `data`, which may refer to `before`. Throws if the
    // stream is invalid, ends inside a block, or has bits left over.
    inflated read(std::string_view data, std::string_view before = {})
    {
        data_ = data;
        at_ = 0;
        result_ = {std::string(before)};

        while (at_ != 8 * data_.size()) {
            read_block();
            result_.blocks++;
        }

        result_.text.erase(0, before.size());
        return result_;
    }

private:
    // A canonical code from the lengths of its symbols (RFC 1951 3.2.2).
    struct code {
        explicit code(const std::vector<unsigned> &lengths)
        {
            for (unsigned length = 1; length <= 15; length++) {
                for (unsigned i = 0; i < lengths.size(); i++) {
                    if (lengths[i] == length) {
                        symbols.push_back(i);
                        counts[length]++;
                    }
                }
            }
        }

        std::array<unsigned, 16> counts{};
        std::vector<unsigned> symbols;
    };

    unsigned bits(unsigned count)
    {
        unsigned value = 0;

        for (unsigned i = 0; i < count; i++, at_++) {
            if (at_ >= 8 * data_.size()) {
                throw std::runtime_error("ends inside a block");
            }
            const auto byte = static_cast<unsigned char>(data_[at_ / 8]);
            value |= (byte >> at_ % 8 & 1U) << i;
        }

        return value;
    }

    unsigned symbol(const code &from)
    {
        unsigned word = 0;
        unsigned first = 0;
        unsigned index = 0;

        for (unsigned length = 1; length <= 15; length++) {
            word = word << 1 | bits(1);
            first <<= 1;
            if (word < first + from.counts[length]) {
                return from.symbols[index + word - first];
            }
            first += from.counts[length];
            index += from.counts[length];
        }

        throw std::runtime_error("no such code");
    }

    void read_block()
    {
        bits(1); // a final block is not treated differently

        switch (bits(2)) {
        case 0:
            return read_stored();
        case 1:
            return read_fixed();
        case 2:
            return read_dynamic();
        default:
            throw std::runtime_error("no such block");
        }
    }

    void read_stored()
    {
        at_ = (at_ + 7) / 8 * 8;
        const unsigned length = bits(16);

        if (bits(16) != (length ^ 0xFFFF)) {
            throw std::runtime_error("lengths differ");
        }
        for (unsigned i = 0; i < length; i++) {
            result_.text += static_cast<char>(bits(8));
        }
    }

    void read_fixed()
    {
        std::vector<unsigned> lengths(288, 8);
        std::fill(lengths.begin() + 144, lengths.begin() + 256, 9);
        std::fill(lengths.begin() + 256, lengths.begin() + 280, 7);
        read_symbols(code{lengths}, code{std::vector<unsigned>(30, 5)});
    }

    void read_dynamic()
    {
        constexpr std::array<unsigned char, 19> order{
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
        const unsigned literals = bits(5) + 257;
        const unsigned distances = bits(5) + 1;
        const unsigned given = bits(4) + 4;
        std::vector<unsigned> of_lengths(19);

        for (unsigned i = 0; i < given; i++) {
            of_lengths[order[i]] = bits(3);
        }

        const code coded{of_lengths};
        std::vector<unsigned> lengths;

        while (lengths.size() < literals + distances) {
            const unsigned next = symbol(coded);
            if (next < 16) {
                lengths.push_back(next);
            } else {
                const unsigned repeated =
                    next == 16 ? lengths.at(lengths.size() - 1) : 0;
                lengths.insert(lengths.end(),
                               next == 16   ? 3 + bits(2)
                               : next == 17 ? 3 + bits(3)
                                            : 11 + bits(7),
                               repeated);
            }
        }

        const auto border = lengths.begin() + literals;
        read_symbols(code{{lengths.begin(), border}},
                     code{{border, lengths.end()}});
    }

    void read_symbols(const code &literals, const code &distances)
    {
        for (;;) {
            const unsigned next = symbol(literals);

            if (next < 256) {
                result_.text += static_cast<char>(next);
            } else if (next == 256) {
                return;
            } else {
                const unsigned length = length_of(next - 257);
                copy(length, distance_of(symbol(distances)));
            }
        }
    }

    // Lengths come in groups of four; each group has one more bit (3.2.5).
    unsigned length_of(unsigned index)
    {
        if (index < 8) {
            return 3 + index;
        }
        if (index == 28) {
            return 258;
        }
        const unsigned extra = index / 4 - 1;
        return 3 + ((4 + index % 4) << extra) + bits(extra);
    }

    // Distances come in groups of two.
    unsigned distance_of(unsigned index)
    {
        if (index < 4) {
            return 1 + index;
        }
        const unsigned extra = index / 2 - 1;
        return 1 + ((2 + index % 2) << extra) + bits(extra);
    }

    void copy(unsigned length, std::size_t distance)
    {
        std::string &text = result_.text;

        if (distance > text.size()) {
            throw std::runtime_error("refers to nothing");
        }
        result_.farthest = std::max(result_.farthest, distance);
        for (unsigned i = 0; i < length; i++) {
            text += text[text.size() - distance];
        }
    }

    std::string_view data_;
    std::size_t at_ = 0; // in bits
    inflated result_;
};

} // namespace reference
