/*
 * Preloaded into nginx. The wall clock is as many milliseconds ahead as the
 * shared number says.
 */
#define _GNU_SOURCE
#include "shared_number.h"

#include <dlfcn.h>
#include <sys/time.h>

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    static int (*real)(struct timeval *restrict, void *restrict);
    long lead = (long)atomic_load(shared_number);
    int result;

    if (real == NULL) {
        real = (int (*)(struct timeval *restrict, void *restrict))dlsym(
            RTLD_NEXT, "gettimeofday");
    }

    result = real(now, zone);
    now->tv_sec += lead / 1000;
    now->tv_usec += lead % 1000 * 1000;

    if (now->tv_usec >= 1000000) {
        now->tv_sec++;
        now->tv_usec -= 1000000;
    }

    return result;
}
