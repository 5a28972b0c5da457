// Replaces operator new and delete to count their calls.
#include "counted_memory.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

std::size_t calls_of_new = 0;

namespace {

void *counted(std::size_t size)
{
    calls_of_new++;

    if (void *memory = std::malloc(std::max<std::size_t>(size, 1))) {
        return memory;
    }

    throw std::bad_alloc{};
}

} // namespace

void *operator new(std::size_t size)
{
    return counted(size);
}
void *operator new[](std::size_t size)
{
    return counted(size);
}
void operator delete(void *memory) noexcept
{
    std::free(memory);
}
void operator delete[](void *memory) noexcept
{
    std::free(memory);
}
void operator delete(void *memory, std::size_t) noexcept
{
    std::free(memory);
}
void operator delete[](void *memory, std::size_t) noexcept
{
    std::free(memory);
}
