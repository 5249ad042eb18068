/* A device that does direct I/O, as far as memory tracking can tell: it pins pages of a RAM file
 * that the shim has registered, and data arrives in them past the page tables (io_uring with
 * registered buffers does to its pages what a drive without host cache does for each request).
 *
 * pinned-writer RAM BYTES, then commands on stdin, each answered with a line:
 *   pin PAGE          the page is pinned, as at the start of a request
 *   arrive VALUE      the pinned page is filled with the byte, without a page fault
 *   unpin             the request ends
 *   write PAGE VALUE  an ordinary write of the page, by the CPU
 */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { page_bytes = 4096 };

static char *ram;
static int ring;
static char *submissions, *completions;
static struct io_uring_sqe *entries;
static struct io_uring_params params;
static char *pinned;

static void fail(const char *what)
{
    perror(what);
    exit(2);
}

static void open_ring(void)
{
    ring = (int)syscall(__NR_io_uring_setup, 4, &params);
    if (ring < 0) {
        fail("io_uring_setup");
    }
    submissions = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    completions = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
    entries = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    if (submissions == MAP_FAILED || completions == MAP_FAILED || entries == MAP_FAILED) {
        fail("mmap of the ring");
    }
}

static void pin(long page)
{
    struct iovec vec = {.iov_base = ram + page * page_bytes, .iov_len = page_bytes};

    if (syscall(__NR_io_uring_register, ring, IORING_REGISTER_BUFFERS, &vec, 1) < 0) {
        fail("IORING_REGISTER_BUFFERS");
    }
    pinned = vec.iov_base;
}

static void unpin(void)
{
    if (syscall(__NR_io_uring_register, ring, IORING_UNREGISTER_BUFFERS, NULL, 0) < 0) {
        fail("IORING_UNREGISTER_BUFFERS");
    }
}

static void arrive(int value)
{
    unsigned *tail = (unsigned *)(submissions + params.sq_off.tail);
    unsigned *head = (unsigned *)(completions + params.cq_off.head);
    unsigned *array = (unsigned *)(submissions + params.sq_off.array);
    unsigned at = *tail & (params.sq_entries - 1);
    struct io_uring_cqe *answer;
    char data[page_bytes];
    FILE *source = tmpfile();

    memset(data, value, sizeof data);
    if (source == NULL || fwrite(data, 1, sizeof data, source) != sizeof data || fflush(source)) {
        fail("source");
    }
    memset(&entries[at], 0, sizeof entries[at]);
    entries[at].opcode = IORING_OP_READ_FIXED;
    entries[at].fd = fileno(source);
    entries[at].addr = (uint64_t)(uintptr_t)pinned;
    entries[at].len = page_bytes;
    array[at] = at;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    if (syscall(__NR_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0) {
        fail("io_uring_enter");
    }
    answer = (struct io_uring_cqe *)(completions + params.cq_off.cqes);
    answer += *head & (params.cq_entries - 1);
    if (answer->res != page_bytes) {
        fprintf(stderr, "read: %d\n", answer->res);
        exit(2);
    }
    __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
    fclose(source);
}

int main(int count, char **arguments)
{
    char line[80];
    long page;
    int value;
    int file = count == 3 ? open(arguments[1], O_RDWR) : -1;

    if (file < 0) {
        fail("RAM");
    }
    ram = mmap(NULL, (size_t)atol(arguments[2]), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (ram == MAP_FAILED) {
        fail("mmap of RAM");
    }
    open_ring();
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (sscanf(line, "pin %ld", &page) == 1) {
            pin(page);
        } else if (sscanf(line, "arrive %d", &value) == 1) {
            arrive(value);
        } else if (sscanf(line, "write %ld %d", &page, &value) == 2) {
            memset(ram + page * page_bytes, value, page_bytes);
        } else {
            unpin();
        }
        printf("done\n");
        fflush(stdout);
    }
    return 0;
}
