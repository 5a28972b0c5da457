/*
 * Preloaded into nginx. posix_memalign fails for a size equal to the shared
 * number, as if no memory for a pool were left.
 */
#include "shared_number.h"

#include <errno.h>
#include <stddef.h>

extern void *__libc_memalign(size_t alignment, size_t size);

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    *memory = size == *shared_number ? NULL : __libc_memalign(alignment, size);
    return *memory == NULL ? ENOMEM : 0;
}
