// Fuzzes the UTF-8 check. Each implementation must agree with the reference on
// the text, alone and inside ASCII, whole, bytewise and in pieces.
//
// The first byte of the input is the number of ASCII bytes before the text, the
// second the size of a piece. The text is at most the next 400 bytes.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "protocol/text/utf8.hpp"

#include "fuzzing.hpp"
#include "../unit/text/simd_levels.hpp"
#include "../unit/text/utf8_reference.hpp"

using namespace websocket::protocol;

namespace {

// Feeds a copy in an allocation of exactly its size, so that AddressSanitizer
// finds a read past its end. Single bytes are too many for a copy.
bool feed(utf8_checker &checker, std::string_view piece, simd_level level)
{
    const auto bytes = std::as_bytes(std::span(piece.data(), piece.size()));
    if (bytes.size() == 1) {
        return checker.feed(bytes, level);
    }
    const std::unique_ptr<std::byte[]> copy(new std::byte[bytes.size()]);
    std::copy(bytes.begin(), bytes.end(), copy.get());
    return checker.feed({copy.get(), bytes.size()}, level);
}

void check(std::string_view text, std::size_t piece_size,
           utf8_reference::verdict expected, simd_level level)
{
    utf8_checker checker;
    for (std::size_t at = 0; at < text.size(); at += piece_size) {
        const std::string_view piece = text.substr(at, piece_size);
        const bool possible = feed(checker, piece, level);
        require(possible == (expected.first_impossible >= at + piece.size()));
    }
    require(checker.complete() == expected.complete);
    checker.reset();
    require(checker.complete());
}

void check_all(std::string_view text, std::size_t piece_size)
{
    const auto expected = utf8_reference::check(text);
    for (const simd_level level : simd_levels()) {
        check(text, std::max<std::size_t>(text.size(), 1), expected, level);
        check(text, piece_size, expected, level);
        check(text, 1, expected, level);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data,
                                      std::size_t size)
{
    if (size < 2) {
        return 0;
    }
    const std::size_t piece_size = std::max<std::size_t>(data[1], 1);
    // A longer text would repeat the same checks and cost time.
    constexpr std::size_t greatest_size = 400;
    const std::string text(data + 2, data + std::min(size, 2 + greatest_size));
    check_all(text, piece_size);
    check_all(std::string(data[0], 'a') + text + std::string(70, 'z'),
              piece_size);
    return 0;
}
