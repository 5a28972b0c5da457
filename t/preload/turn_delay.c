/*
 * Preloaded into nginx. Each turn of the event loop takes as many milliseconds
 * longer as the shared number says.
 */
#define _GNU_SOURCE
#include "shared_number.h"

#include <dlfcn.h>
#include <sys/epoll.h>
#include <time.h>

int epoll_wait(int fd, struct epoll_event *events, int count, int timeout)
{
    static int (*real)(int, struct epoll_event *, int, int);
    unsigned long delay = atomic_load(shared_number);
    struct timespec rest = {(time_t)(delay / 1000),
                            (long)(delay % 1000) * 1000000};

    if (real == NULL) {
        real = (int (*)(int, struct epoll_event *, int, int))dlsym(
            RTLD_NEXT, "epoll_wait");
    }

    nanosleep(&rest, NULL);
    return real(fd, events, count, timeout);
}
