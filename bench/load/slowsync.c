/* slowsync: preloaded into a server (LD_PRELOAD), makes each of its syncs take SLOWSYNC_US microseconds longer, as on a
 * disk without a cache or behind a network. Everything else runs at its usual speed.
 *
 * What it covers are the calls of the C library that return when something is durable: fsync, fdatasync, syncfs and
 * msync with MS_SYNC. Not covered: files opened with O_SYNC or O_DSYNC, and programs that call the kernel themselves. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef int sync_one(int);
typedef int sync_range(void *, size_t, int);

/* The result of the real call, later; nothing in here touches errno, which belongs to that call. */
static int late(int result) {
    const char *delay_us = getenv("SLOWSYNC_US");
    long us = delay_us ? atol(delay_us) : 0;
    struct timespec left = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    while (us > 0 && clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        continue;
    return result;
}

static int late_call(const char *name, int fd) {
    sync_one *real;
    *(void **)&real = dlsym(RTLD_NEXT, name); /* as POSIX has it: ISO C knows no such conversion */
    return late(real(fd));
}

int fsync(int fd) { return late_call("fsync", fd); }
int fdatasync(int fd) { return late_call("fdatasync", fd); }
int syncfs(int fd) { return late_call("syncfs", fd); }

int msync(void *start, size_t size, int flags) {
    sync_range *real;
    *(void **)&real = dlsym(RTLD_NEXT, "msync");
    int result = real(start, size, flags);
    return flags & MS_SYNC ? late(result) : result;
}
