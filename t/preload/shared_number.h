/*
 * The number that a test and all processes of its nginx share, in the file that
 * PRELOAD_NUMBER names. Until the file is mapped, each process has a number of
 * its own.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static atomic_ulong before_mapping;
static atomic_ulong *shared_number = &before_mapping;

__attribute__((constructor)) static void map_number(void)
{
    const char *name = getenv("PRELOAD_NUMBER");
    int fd = name == NULL ? -1 : open(name, O_RDWR);
    void *mapped;

    if (fd == -1) {
        return;
    }

    mapped = mmap(NULL, sizeof(*shared_number), PROT_READ | PROT_WRITE,
                  MAP_SHARED, fd, 0);
    close(fd);

    if (mapped != MAP_FAILED) {
        shared_number = mapped;
    }
}
