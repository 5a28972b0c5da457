/*
 * Preloaded into nginx. Each call of malloc lowers the shared number by 1. The
 * call that lowers it to 0 fails; further calls succeed. If the number has the
 * highest bit, further calls fail, too.
 */
#include "shared_number.h"

#include <errno.h>
#include <stddef.h>

extern void *__libc_malloc(size_t size);

static const unsigned long highest_bit = ~(~0UL >> 1);

static int fails(void)
{
    unsigned long before = atomic_load(shared_number);

    if (before == 0 || before == highest_bit) {
        return before != 0;
    }

    before = atomic_fetch_sub(shared_number, 1);
    return before == 1 || before == highest_bit + 1;
}

void *malloc(size_t size)
{
    if (fails()) {
        errno = ENOMEM;
        return NULL;
    }

    return __libc_malloc(size);
}
