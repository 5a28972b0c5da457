/*
 * Preloaded into nginx: as long as the file of the test begins with a number
 * other than 0, there is no memory for a pool of that size.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_memalign(size_t alignment, size_t size);

static const volatile unsigned long none = 0;
static const volatile unsigned long *refused = &none;

__attribute__((constructor)) static void map_file(void)
{
    const char *name = getenv("MEMORY_REFUSER_FILE");
    int fd = name == NULL ? -1 : open(name, O_RDONLY);
    void *mapped;

    if (fd == -1) {
        return;
    }

    mapped = mmap(NULL, sizeof(*refused), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);

    if (mapped != MAP_FAILED) {
        refused = mapped;
    }
}

int posix_memalign(void **made, size_t alignment, size_t size)
{
    *made = size == *refused ? NULL : __libc_memalign(alignment, size);
    return *made == NULL ? ENOMEM : 0;
}
