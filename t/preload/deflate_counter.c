/*
 * Preloaded into nginx. The shared number counts the bytes that zlib
 * compresses.
 */
#define _GNU_SOURCE
#include "shared_number.h"

#include <dlfcn.h>
#include <zlib.h>

int deflate(z_streamp stream, int flush)
{
    static int (*real)(z_streamp, int);
    const unsigned long before = stream->total_in;
    int result;

    if (real == NULL) {
        real = (int (*)(z_streamp, int))dlsym(RTLD_NEXT, "deflate");
    }

    result = real(stream, flush);
    atomic_fetch_add_explicit(shared_number, stream->total_in - before,
                              memory_order_relaxed);
    return result;
}
