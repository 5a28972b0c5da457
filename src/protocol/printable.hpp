// Text that a peer chose, made fit for a line of a log: it can neither end the
// line, nor the quotes around it, nor command the terminal that shows it.
#pragma once

#include <span>
#include <string_view>

namespace websocket::protocol {

enum class quotes : bool { kept, escaped };

// Copies `text` into `buffer` and returns the copy. Characters that print stay
// as they are. Each byte of any other one is written as \xHH: control
// characters (C0, DEL, C1), line and paragraph separators, characters without
// width and those that change the direction of writing, and bytes that are not
// UTF-8. With quotes::escaped a double quote and a backslash get a backslash
// before them, so that two different texts never look the same.
//
// Text that does not fit ends in "...", never inside a character or an escape.
// `buffer` holds at least 3 characters.
std::string_view print(std::string_view text, quotes how,
                       std::span<char> buffer) noexcept;

} // namespace websocket::protocol
