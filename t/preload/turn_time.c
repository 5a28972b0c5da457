/*
 * Preloaded into nginx. The shared number is the most processor time, in
 * microseconds, that a process took between two calls of epoll_wait.
 */
#define _GNU_SOURCE
#include "shared_number.h"

#include <dlfcn.h>
#include <sys/epoll.h>
#include <time.h>

static unsigned long began;

static unsigned long now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (unsigned long)time.tv_sec * 1000000 +
           (unsigned long)time.tv_nsec / 1000;
}

int epoll_wait(int fd, struct epoll_event *events, int count, int timeout)
{
    static int (*real)(int, struct epoll_event *, int, int);
    int result;

    if (real == NULL) {
        real = (int (*)(int, struct epoll_event *, int, int))dlsym(
            RTLD_NEXT, "epoll_wait");
    }

    if (began != 0 && now() - began > atomic_load(shared_number)) {
        atomic_store(shared_number, now() - began);
    }

    result = real(fd, events, count, timeout);
    began = now();
    return result;
}
