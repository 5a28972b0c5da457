/*
 * Preloaded into nginx. Each call of malloc lowers the shared number by 1. The
 * call that lowers it to 0 fails; further calls succeed.
 */
#include "shared_number.h"

#include <errno.h>
#include <stddef.h>

extern void *__libc_malloc(size_t size);

void *malloc(size_t size)
{
    if (atomic_load(shared_number) != 0 &&
        atomic_fetch_sub(shared_number, 1) == 1) {
        errno = ENOMEM;
        return NULL;
    }

    return __libc_malloc(size);
}
