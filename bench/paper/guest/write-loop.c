/*
 * write-loop MIB TURNS: writes the pages of a region one after the other, without end, with TURNS
 * of a small computation before each page. Of a page it writes one 64-byte block in eight. Prints
 * "INCR lab:progress" for each 256 pages.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(int count, char **words)
{
	const size_t page = 4096, block = 64;
	if (count != 3) return 2;
	const size_t pages = strtoull(words[1], NULL, 10) * 256;
	const uint64_t turns = strtoull(words[2], NULL, 10);
	uint8_t *region = mmap(NULL, pages * page, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (region == MAP_FAILED || pages == 0) return 1;
	uint64_t random = 88172645463325252u;
	for (size_t at = 0, done = 1;; at = (at + 1) % pages, done++) {
		for (uint64_t turn = 0; turn < turns; turn++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
		}
		for (size_t from = 0; from < page; from += 8 * block) {
			uint64_t *words_of_block = (uint64_t *)(region + at * page + from);
			for (size_t word = 0; word < block / 8; word++)
				words_of_block[word] = random + done + word;
		}
		if (done % 256 == 0) {
			puts("INCR lab:progress");
			fflush(stdout);
		}
	}
}
