/*
 * What the machine does without us: the same work in C, for the ratios in docs/benchmarks.md.
 *
 *   baseline BYTES FILE    reads BYTES of page data from FILE, then for each line "NAME MS" on
 *                          standard input measures for MS milliseconds and answers with the rate
 *                          in GB/s (1e9 bytes of input a second); "error" for an unknown name.
 *                          The data are taken in windows of 1 MiB, one after the other; a window
 *                          that took three times the median was interrupted and is left out.
 *
 *   xxh3      XXH3_64bits_withSecret of each 64-byte block, compared with the stored hash, into a
 *             bitmap of changed blocks per page
 *   compare   each 64-byte block compared with a copy of it, into the same bitmap
 *   copy      memcpy
 */
#define _GNU_SOURCE
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { block_bytes = 64, page_bytes = 4096, window_pages = 256, calls_max = 1 << 20 };

static unsigned char *data, *copy;
static uint64_t *hashes, *bitmaps;
static unsigned char secret[192];
static size_t bytes;

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void pass_xxh3(size_t first, size_t end)
{
    for (size_t page = first; page < end; page++) {
        const unsigned char *p = data + page * page_bytes;
        uint64_t *row = hashes + page * (page_bytes / block_bytes);
        uint64_t changed = 0;

        for (int block = 0; block < page_bytes / block_bytes; block++) {
            uint64_t hash =
                XXH3_64bits_withSecret(p + block * block_bytes, block_bytes, secret, sizeof secret);

            changed |= (uint64_t)(hash != row[block]) << block;
            row[block] = hash;
        }
        bitmaps[page] = changed;
    }
}

static void pass_compare(size_t first, size_t end)
{
    for (size_t page = first; page < end; page++) {
        const unsigned char *p = data + page * page_bytes, *q = copy + page * page_bytes;
        uint64_t changed = 0;

        for (int block = 0; block < page_bytes / block_bytes; block++) {
            changed |= (uint64_t)(memcmp(p + block * block_bytes, q + block * block_bytes,
                                         block_bytes) != 0) << block;
        }
        bitmaps[page] = changed;
    }
}

static void pass_copy(size_t first, size_t end)
{
    memcpy(copy + first * page_bytes, data + first * page_bytes, (end - first) * page_bytes);
    /* The copy must really be made, again and again. */
    __asm__ volatile("" : : "r"(copy) : "memory");
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double measure(void (*pass)(size_t, size_t), double limit_s)
{
    static double taken[calls_max], sorted[calls_max];
    size_t pages = bytes / page_bytes, window = pages < window_pages ? pages : window_pages;
    size_t first = 0;
    double started = now_s(), limit, spent = 0;
    int count = 0, counted = 0;

    do {
        double from = now_s();

        pass(first, first + window);
        taken[count++] = now_s() - from;
        first = first + 2 * window <= pages ? first + window : 0;
    } while (count < calls_max && now_s() - started < limit_s);
    memcpy(sorted, taken, (size_t)count * sizeof taken[0]);
    qsort(sorted, (size_t)count, sizeof sorted[0], by_value);
    limit = 3 * sorted[count / 2];
    for (int i = 0; i < count; i++) {
        if (taken[i] <= limit) {
            spent += taken[i];
            counted++;
        }
    }
    return (double)(window * page_bytes) * counted / spent / 1e9;
}

int main(int argc, char **argv)
{
    char name[32];
    double limit_ms;
    FILE *file = argc == 3 ? fopen(argv[2], "rb") : NULL;

    if (!file) {
        fprintf(stderr, "usage: baseline BYTES FILE\n");
        return 2;
    }
    bytes = strtoull(argv[1], NULL, 10) / page_bytes * page_bytes;
    data = aligned_alloc(page_bytes, bytes);
    copy = aligned_alloc(page_bytes, bytes);
    hashes = calloc(bytes / block_bytes, sizeof *hashes);
    bitmaps = calloc(bytes / page_bytes, sizeof *bitmaps);
    if (!data || !copy || !hashes || !bitmaps || fread(data, 1, bytes, file) != bytes) {
        fprintf(stderr, "baseline: cannot read %zu bytes of %s\n", bytes, argv[2]);
        return 1;
    }
    fclose(file);
    memcpy(copy, data, bytes);
    for (size_t i = 0; i < sizeof secret; i++) {
        secret[i] = (unsigned char)(i * 37 + 11);
    }
    while (scanf("%31s %lf", name, &limit_ms) == 2) {
        void (*pass)(size_t, size_t) = !strcmp(name, "xxh3")      ? pass_xxh3
                             : !strcmp(name, "compare") ? pass_compare
                             : !strcmp(name, "copy")    ? pass_copy
                                                        : NULL;

        if (pass) {
            printf("%.4f\n", measure(pass, limit_ms / 1000));
        } else {
            printf("error\n");
        }
        fflush(stdout);
    }
    return 0;
}
