/* Maps files the way QEMU does; what the shim does to it is the test's subject.
 * map-file RAM OTHER SPARE: SPARE descriptors stay free while RAM is mapped; -1 for all. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ram_bytes = 1 << 20 };

int main(int count, char **arguments)
{
    int ram = open(arguments[1], O_RDWR);
    int other = open(arguments[2], O_RDWR);
    int spare = count > 3 ? atoi(arguments[3]) : -1;
    struct rlimit limit = {.rlim_cur = (rlim_t)(other + 1 + spare), .rlim_max = 1024};
    char *reserved, *mapped;

    if (ram < 0 || other < 0) {
        return 2;
    }
    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);
    mmap(NULL, ram_bytes, PROT_READ, MAP_SHARED, ram, 0);
    mmap(NULL, ram_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, ram, 0);
    if (spare >= 0) {
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    reserved = mmap(NULL, ram_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mapped = mmap(reserved, ram_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, ram, 0);
    if (mapped != reserved) {
        return 3;
    }
    memset(mapped, 7, ram_bytes);
    printf("%d %p %s\n", mapped[1000], (void *)mapped, getenv("LD_PRELOAD") ? "kept" : "unset");
    return 0;
}
