// Counts allocations on the heap.
#pragma once

#include <cstddef>

// Calls of operator new in the whole program so far.
extern std::size_t calls_of_new;
