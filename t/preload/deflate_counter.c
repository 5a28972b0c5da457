/*
 * Preloaded into nginx: counts the bytes that zlib compresses, in a file that
 * the test maps, over all processes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

static atomic_ulong before_mapping;
static atomic_ulong *bytes = &before_mapping;

__attribute__((constructor)) static void map_counter(void)
{
    const char *name = getenv("DEFLATE_COUNTER_FILE");
    int fd = name == NULL ? -1 : open(name, O_RDWR);
    void *mapped;

    if (fd == -1) {
        return;
    }

    mapped =
        mmap(NULL, sizeof(*bytes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);

    if (mapped != MAP_FAILED) {
        bytes = mapped;
    }
}

int deflate(z_streamp stream, int flush)
{
    static int (*real)(z_streamp, int);
    const unsigned long before = stream->total_in;
    int result;

    if (real == NULL) {
        real = (int (*)(z_streamp, int))dlsym(RTLD_NEXT, "deflate");
    }

    result = real(stream, flush);
    atomic_fetch_add_explicit(bytes, stream->total_in - before,
                              memory_order_relaxed);
    return result;
}
