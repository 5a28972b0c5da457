/*
 * Preloaded into nginx. The shared number is the largest number of bytes that a
 * process sent between two calls of epoll_wait.
 */
#define _GNU_SOURCE
#include "shared_number.h"

#include <dlfcn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

static unsigned long sent;

static ssize_t counted(ssize_t size)
{
    sent += size > 0 ? (unsigned long)size : 0;
    return size;
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    static ssize_t (*real)(int, const struct iovec *, int);

    if (real == NULL) {
        real = (ssize_t(*)(int, const struct iovec *, int))dlsym(RTLD_NEXT,
                                                                 "writev");
    }

    return counted(real(fd, pieces, count));
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    static ssize_t (*real)(int, const void *, size_t, int);

    if (real == NULL) {
        real = (ssize_t(*)(int, const void *, size_t, int))dlsym(RTLD_NEXT,
                                                                 "send");
    }

    return counted(real(fd, bytes, size, flags));
}

int epoll_wait(int fd, struct epoll_event *events, int count, int timeout)
{
    static int (*real)(int, struct epoll_event *, int, int);

    if (real == NULL) {
        real = (int (*)(int, struct epoll_event *, int, int))dlsym(
            RTLD_NEXT, "epoll_wait");
    }

    if (sent > atomic_load(shared_number)) {
        atomic_store(shared_number, sent);
    }

    sent = 0;
    return real(fd, events, count, timeout);
}
