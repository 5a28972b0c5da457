// Text files of /proc: their contents, lines and words.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace load {

// The whole of a file. Throws std::runtime_error, which names it.
inline std::string read_file(const char *path)
{
    const auto close = [](std::FILE *file) { std::fclose(file); };
    const std::unique_ptr<std::FILE, decltype(close)> file(
        std::fopen(path, "re"), close);
    std::string text;
    char piece[4096];

    while (file != nullptr) {
        const std::size_t size = std::fread(piece, 1, sizeof(piece), &*file);
        text.append(piece, size);

        if (size < sizeof(piece)) {
            break;
        }
    }

    if (text.empty()) {
        throw std::runtime_error(std::string("cannot read ") + path);
    }

    return text;
}

// Takes what stands before `end`, and `end`, off the front of a text.
inline std::string_view take_until(std::string_view &text, char end) noexcept
{
    const std::string_view taken = text.substr(0, text.find(end));

    text.remove_prefix(std::min(text.size(), taken.size() + 1));
    return taken;
}

// Takes a word off the front of a line; empty at its end.
inline std::string_view take_word(std::string_view &line) noexcept
{
    line.remove_prefix(std::min(line.size(), line.find_first_not_of(" \t")));
    return take_until(line, ' ');
}

// Throws std::runtime_error if the text does not begin with a number.
inline std::uint64_t to_number(std::string_view text)
{
    std::uint64_t number = 0;
    const auto parsed =
        std::from_chars(text.data(), text.data() + text.size(), number);

    if (parsed.ec != std::errc()) {
        throw std::runtime_error("/proc holds \"" + std::string(text) +
                                 "\" where a number was expected");
    }

    return number;
}

inline std::uint64_t take_number(std::string_view &line)
{
    return to_number(take_word(line));
}

} // namespace load
