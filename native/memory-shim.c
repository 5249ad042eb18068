/*
 * Preloaded into QEMU (LD_PRELOAD) to let an agent see which pages of guest RAM were written.
 *
 * When QEMU maps the file named by UNDERSTUDY_RAM_FILE with MAP_SHARED, the mapping is registered
 * with userfaultfd in asynchronous write-protect mode. The agent then asks the kernel for the
 * written pages with the PAGEMAP_SCAN ioctl on /proc/PID/pagemap (Linux 6.7 or newer). Nobody
 * handles faults: the kernel resolves them by itself, so nothing blocks when the agent is gone.
 *
 * What happened is written to the file named by UNDERSTUDY_SHIM_STATUS, one line a mapping:
 *
 *   registered address=0x7f0000000000 size=1073741824 offset=0 features=0x9000 errno=0
 *   protected address=0x7f0000000000 size=1073741824 offset=0 features=0x9000 errno=0
 *   failed:userfaultfd address=0x7f0000000000 size=1073741824 offset=0 features=0x0 errno=1
 *
 * `protected`, where UNDERSTUDY_SHIM_FROM_START asks for it: each page is write-protected before
 * QEMU has the mapping, so what is found written later is all that QEMU ever wrote.
 *
 * A failure is reported there and on stderr, and QEMU runs on: the agent uses another tracker.
 * Only mmap and mmap64 are replaced, by the system call itself, so that nothing here can recurse.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than Debian 12's headers (Linux 6.1); the kernel's own numbers. */
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

enum { path_bytes = 4096, line_bytes = 256 };

static const uint64_t features =
    UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_WP_HUGETLBFS_SHMEM;

/* Set by the constructor, before QEMU has a second thread; only read afterwards. */
static char ram_path[path_bytes];
static char status_path[path_bytes];
static int from_start;

/* Guards the descriptor and the status file: QEMU may map from several threads. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int userfault = -1; /* stays open: closing it would end the registration */

__attribute__((constructor)) static void read_settings(void)
{
    const char *ram = getenv("UNDERSTUDY_RAM_FILE");
    const char *status = getenv("UNDERSTUDY_SHIM_STATUS");

    from_start = getenv("UNDERSTUDY_SHIM_FROM_START") != NULL;
    if (ram && strlen(ram) < path_bytes) {
        strcpy(ram_path, ram);
    }
    if (status && strlen(status) < path_bytes) {
        strcpy(status_path, status);
    }
}

/* True where `fd` is the RAM file, whatever path it was opened by. Keeps errno. */
static int is_ram_file(int fd)
{
    struct stat opened, named;
    int kept = errno;
    int same = ram_path[0] && fd >= 0 && fstat(fd, &opened) == 0 && stat(ram_path, &named) == 0 &&
               opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;

    errno = kept;
    return same;
}

static void publish(const char *what, void *address, size_t size, off_t offset, uint64_t granted,
                    int error)
{
    char line[line_bytes];
    int length = snprintf(line, sizeof line,
                          "%s address=0x%llx size=%llu offset=%lld features=0x%llx errno=%d\n",
                          what, (unsigned long long)(uintptr_t)address, (unsigned long long)size,
                          (long long)offset, (unsigned long long)granted, error);
    int fd;

    if (error) {
        fprintf(stderr, "memory-shim: %s: %s\n", what, strerror(error));
    }
    if (!status_path[0]) {
        return;
    }
    fd = open(status_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, line, (size_t)length) != length) {
        fprintf(stderr, "memory-shim: %s: %s\n", status_path, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* Opens the descriptor once. Returns NULL, or the name of what failed with errno set. */
static const char *open_userfault(uint64_t *granted)
{
    struct uffdio_api api = {.api = UFFD_API, .features = features};
    int fd;

    if (userfault >= 0) {
        *granted = features;
        return NULL;
    }
    fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == EPERM) {
        fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    }
    if (fd < 0) {
        return "failed:userfaultfd";
    }
    if (ioctl(fd, UFFDIO_API, &api) != 0) {
        int kept = errno;
        close(fd);
        errno = kept;
        return "failed:features";
    }
    userfault = fd;
    *granted = features;
    return NULL;
}

/*
 * Protects every page of a mapping before QEMU has it, the ones that have no page table too. From
 * then on the kernel knows each page that was ever written through it.
 */
static int protect(struct uffdio_range range)
{
    struct uffdio_writeprotect all = {.range = range, .mode = UFFDIO_WRITEPROTECT_MODE_WP};

    return ioctl(userfault, UFFDIO_WRITEPROTECT, &all) == 0;
}

/* Registers one mapping and says so. Keeps errno. */
static void track(void *address, size_t size, off_t offset)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t whole = (size + page - 1) / page * page;
    struct uffdio_register area = {
        .range = {.start = (uintptr_t)address, .len = whole},
        .mode = UFFDIO_REGISTER_MODE_WP,
    };
    const char *failed;
    const char *said = "registered";
    uint64_t granted = 0;
    int kept = errno;

    pthread_mutex_lock(&lock);
    failed = open_userfault(&granted);
    if (!failed && ioctl(userfault, UFFDIO_REGISTER, &area) != 0) {
        failed = "failed:register";
    }
    if (!failed && from_start && protect(area.range)) {
        said = "protected";
    }
    publish(failed ? failed : said, address, whole, offset, granted, failed ? errno : 0);
    /* This is QEMU, not a wrapper that starts it: what it starts need not be preloaded. */
    unsetenv("LD_PRELOAD");
    pthread_mutex_unlock(&lock);
    errno = kept;
}

__attribute__((visibility("default"))) void *mmap(void *address, size_t size, int protection,
                                                  int flags, int fd, off_t offset)
{
    void *mapped = (void *)syscall(SYS_mmap, address, size, protection, flags, fd, offset);

    /* MAP_SHARED_VALIDATE is 3: it has MAP_SHARED's bit set as well. */
    if (mapped != MAP_FAILED && (flags & MAP_SHARED) && (protection & PROT_WRITE) &&
        is_ram_file(fd)) {
        track(mapped, size, offset);
    }
    return mapped;
}

__attribute__((visibility("default"))) void *mmap64(void *address, size_t size, int protection,
                                                    int flags, int fd, off64_t offset)
{
    return mmap(address, size, protection, flags, fd, offset);
}
