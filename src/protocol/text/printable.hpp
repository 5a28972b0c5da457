// Makes untrusted text safe for the error log: it can neither end the line, nor
// the quotes around it, nor send control sequences to a terminal.
#pragma once

#include <span>
#include <string_view>

namespace websocket::protocol {

enum class quotes : bool { kept, escaped };

// Copies `text` into `buffer` and returns the copy. Printable characters are
// kept. Each byte of any other one is written as \xHH:
//
// - Control characters (C0, DEL, C1).
// - Line and paragraph separators.
// - Characters without width, and those that change the direction of text.
// - Bytes that are not UTF-8.
//
// With quotes::escaped a double quote and a backslash get a backslash before
// them, so that different texts never look the same.
//
// Text that does not fit ends in "...", never inside a character or an escape.
// `buffer` must hold at least 3 characters.
std::string_view print(std::string_view text, quotes how,
                       std::span<char> buffer) noexcept;

} // namespace websocket::protocol
