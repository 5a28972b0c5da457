// Replaces operator new and delete to count their calls.
#include "counted_memory.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

std::size_t calls_of_new = 0;

namespace {

void *counted_or_null(std::size_t size) noexcept
{
    calls_of_new++;
    return std::malloc(std::max<std::size_t>(size, 1));
}

void *counted(std::size_t size)
{
    if (void *memory = counted_or_null(size)) {
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
void *operator new(std::size_t size, const std::nothrow_t &) noexcept
{
    return counted_or_null(size);
}
void *operator new[](std::size_t size, const std::nothrow_t &) noexcept
{
    return counted_or_null(size);
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
