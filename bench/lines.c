/* lines.c - what it costs to fetch a cache line that another core wrote: two threads hand a word back and forth. Figure: ns
 * per hand-over, the best of `reps`; without two free cores it is a figure of the scheduler. */
#include "bench.h"

static _Alignas(128) _Atomic unsigned long word;
static unsigned long turns; /* [const after start] */

static void *lines_body(void *arg) {
	unsigned long mine = *(unsigned long *)arg;
	for (unsigned long n = mine; n < turns; n += 2) {
		while (atomic_load_explicit(&word, memory_order_acquire) != n)
			;
		atomic_store_explicit(&word, n + 1, memory_order_release);
	}
	return NULL;
}

int main(int argc, char **argv) {
	(void)argc;
	bench_start(argv, "turns reps");
	turns = (unsigned long)bench_number(argv, "turns", 100000);
	unsigned long number[2] = {0, 1};
	double best = 1e9;
	for (long i = bench_number(argv, "reps", 9); i > 0; i--) {
		atomic_store(&word, 0);
		uint64_t start = bench_now();
		bench_threads(2, lines_body, number, sizeof number[0]);
		double ns = (double)(bench_now() - start) / (double)turns;
		best = ns < best ? ns : best;
	}
	printf("line_ns=%.1f", best);
	return bench_end();
}
