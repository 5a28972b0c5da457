// Prepares a thread for exceptions.
#pragma once

#include <new>

namespace websocket::nginx {

// The first exception of a thread allocates memory. If there is none, which is
// when std::bad_alloc is thrown, glibc ends the process. So the first one is
// thrown here. Processes that this one forks inherit the memory.
inline void throw_first_exception() noexcept
try {
    throw std::bad_alloc();
} catch (const std::bad_alloc &) {}

} // namespace websocket::nginx
