// Checks the file of a library before it is loaded.
#pragma once

namespace websocket::nginx {

// Whether an ELF file ends before its segments or sections do, or with zeros,
// as while it is copied. dlopen() maps such a file, and a signal ends the
// process when it uses what is missing. False for other files, which dlopen()
// refuses.
bool is_incomplete_library(const char *path) noexcept;

} // namespace websocket::nginx
