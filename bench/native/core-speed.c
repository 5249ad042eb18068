/*
 * How fast the core is that this process is kept to: each 20 ms the same small work, 70 to 100 us
 * long; each quarter of a second one line with its mean time, in us of this thread's own processor
 * time, so that waiting for the core does not count. Loads, stores and arithmetic in the first-level
 * cache, as much at a time as the core can do: what a neighbour on the same physical core takes away
 * from such code it takes away from translated guest code, too. Ends when its output has no reader.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <time.h>

enum { words = 4096, passes = 60 };

static volatile uint32_t seed = 1;
static uint32_t memory[words];

static double seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void work(void)
{
	for (uint32_t pass = seed; pass < passes + 1; pass++) {
		for (int i = 0; i < words; i += 4) {
			memory[i] = memory[i] * 5 + pass;
			memory[i + 1] ^= memory[i] >> 3;
			memory[i + 2] += memory[i + 3] & 7;
			memory[i + 3] = memory[i + 1] + (uint32_t)i;
		}
	}
}

int main(void)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
	double told_at = seconds(CLOCK_MONOTONIC), sum = 0;
	int count = 0;

	for (;;) {
		double before = seconds(CLOCK_THREAD_CPUTIME_ID);
		work();
		sum += seconds(CLOCK_THREAD_CPUTIME_ID) - before;
		count++;
		double now = seconds(CLOCK_MONOTONIC);
		if (now - told_at >= 0.25) {
			if (printf("%.3f\n", sum / count * 1e6) < 0 || fflush(stdout) != 0) return 0;
			told_at = now;
			sum = 0;
			count = 0;
		}
		nanosleep(&pause, NULL);
	}
}
