/*
 * ep: the kernel of NPB-EP ("embarrassingly parallel", NASA's parallel benchmarks), for ever: a
 * batch of 2 * 2^14 random numbers by the benchmark's own generator (a = 5^13, modulo 2^46) into
 * an array, out of which pairs of Gaussian deviates are made and counted by the ring that they
 * fall into. Prints "INCR lab:progress" for each batch. (NPB takes batches of 2 * 2^16: under
 * emulation those are too long to count with.)
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>

enum { pairs = 1 << 14, rings = 10, arrays = 16 };

static double x[arrays][2 * pairs];
static double counts[rings], sum_x, sum_y;

int main(void)
{
	const uint64_t mask = (UINT64_C(1) << 46) - 1, factor = 1220703125;
	uint64_t seed = 271828183;
	for (unsigned batch = 0;; batch++) {
		/* One array after the other, as several processes of EP would have one each. */
		double *numbers = x[batch % arrays];
		for (int i = 0; i < 2 * pairs; i++) {
			seed = seed * factor & mask;
			numbers[i] = (double)seed * 0x1p-46;
		}
		for (int i = 0; i < pairs; i++) {
			double a = 2 * numbers[2 * i] - 1, b = 2 * numbers[2 * i + 1] - 1;
			double square = a * a + b * b;
			if (square > 1 || square == 0) continue;
			double scale = sqrt(-2 * log(square) / square);
			double g = a * scale, h = b * scale;
			int ring = (int)fmax(fabs(g), fabs(h));
			if (ring < rings) counts[ring] += 1;
			sum_x += g;
			sum_y += h;
		}
		puts("INCR lab:progress");
		fflush(stdout);
	}
}
