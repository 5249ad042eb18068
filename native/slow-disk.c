/*
 * Preloaded into an agent (LD_PRELOAD) by a drill, to make its disks slow: what it writes and syncs
 * below the folders named by UNDERSTUDY_SLOW_FOLDERS (separated by colons) takes longer while the
 * file named by UNDERSTUDY_SLOW_SWITCH says so. That file is mapped; little-endian numbers:
 *
 *    0  8  microseconds that each write takes more; 0: nothing is slow
 *    8  8  microseconds that each sync takes more
 *   16  8  writes that took longer so far
 *   24  8  syncs that took longer so far
 *
 * Only pwrite, fsync and fdatasync are replaced, by the system calls themselves.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { path_bytes = 4096 };

struct control {
    uint64_t write_us, sync_us, writes, syncs;
};

static struct control *control;
static char folders[path_bytes];

/* Before the agent has a second thread. What the agent starts is not slowed. */
__attribute__((constructor)) static void read_settings(void)
{
    const char *named = getenv("UNDERSTUDY_SLOW_FOLDERS");
    const char *path = getenv("UNDERSTUDY_SLOW_SWITCH");
    void *mapped;
    int fd;

    unsetenv("LD_PRELOAD");
    if (!named || !path || strlen(named) >= path_bytes) {
        return;
    }
    strcpy(folders, named);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "slow-disk: %s: %s\n", path, strerror(errno));
        return;
    }
    mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) {
        fprintf(stderr, "slow-disk: %s: %s\n", path, strerror(errno));
    } else {
        control = mapped;
    }
    close(fd);
}

/* True where the file that `fd` is open on lies below one of the folders. */
static int is_below(int fd)
{
    char link[64], path[path_bytes];
    const char *folder = folders;
    ssize_t length;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0) {
        return 0;
    }
    path[length] = 0;
    while (*folder) {
        size_t size = strcspn(folder, ":");

        if (size && (size_t)length > size && !strncmp(path, folder, size) && path[size] == '/') {
            return 1;
        }
        folder += size + (folder[size] == ':');
    }
    return 0;
}

static void delay(int fd, const uint64_t *us, uint64_t *count)
{
    uint64_t wait = __atomic_load_n(us, __ATOMIC_RELAXED);
    int kept = errno;

    if (wait && is_below(fd)) {
        struct timespec left = {(time_t)(wait / 1000000), (long)(wait % 1000000) * 1000};

        __atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
        while (nanosleep(&left, &left) && errno == EINTR) {
        }
    }
    errno = kept;
}

ssize_t pwrite64(int fd, const void *from, size_t size, off64_t offset)
{
    if (control) {
        delay(fd, &control->write_us, &control->writes);
    }
    return syscall(SYS_pwrite64, fd, from, size, offset);
}

ssize_t pwrite(int fd, const void *from, size_t size, off_t offset)
{
    return pwrite64(fd, from, size, offset);
}

int fsync(int fd)
{
    if (control) {
        delay(fd, &control->sync_us, &control->syncs);
    }
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    if (control) {
        delay(fd, &control->sync_us, &control->syncs);
    }
    return (int)syscall(SYS_fdatasync, fd);
}
