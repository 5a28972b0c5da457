/*
 * Preloaded into nginx: counts what is asked of malloc and its kin, in a file
 * that the test maps, over all processes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static atomic_ulong before_mapping;
static atomic_ulong *calls = &before_mapping;

__attribute__((constructor)) static void map_counter(void)
{
    const char *name = getenv("MALLOC_COUNTER_FILE");
    int fd = name == NULL ? -1 : open(name, O_RDWR);
    void *mapped;

    if (fd == -1) {
        return;
    }

    mapped =
        mmap(NULL, sizeof(*calls), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);

    if (mapped != MAP_FAILED) {
        calls = mapped;
    }
}

static void count(void)
{
    atomic_fetch_add_explicit(calls, 1, memory_order_relaxed);
}

void *malloc(size_t size)
{
    count();
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    count();
    return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size)
{
    count();
    return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size)
{
    count();
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    count();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **made, size_t alignment, size_t size)
{
    count();
    *made = __libc_memalign(alignment, size);
    return *made == NULL ? ENOMEM : 0;
}
