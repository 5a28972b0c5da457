// Counts what the program takes from the heap.
#pragma once

#include <cstddef>

// Calls of operator new by all of the program so far.
extern std::size_t calls_of_new;
