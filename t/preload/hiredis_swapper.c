/*
 * Preloaded into nginx. dlopen() of hiredis opens the library in
 * LIBRARY_SWAPPER_GIVES instead.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

typedef void *(*opener)(const char *name, int flags);

void *dlopen(const char *name, int flags)
{
    opener next = (opener)dlsym(RTLD_NEXT, "dlopen");

    if (name != NULL && strncmp(name, "libhiredis", 10) == 0) {
        name = getenv("LIBRARY_SWAPPER_GIVES");
    }

    return next(name, flags);
}
