/* batches.c - `depth` blocks of one size allocated, then freed last-in-first-out, first-in-first-out, or in a
 * shuffled order that is the same every time. Figure: ns per block over the whole loop. */
#include "bench.h"

static void batches_order(uint32_t *order, uint32_t depth, char **argv) {
	for (uint32_t i = 0; i < depth; i++)
		order[i] = bench_is(argv, "order", "lifo") ? depth - 1 - i : i;
	if (!bench_is(argv, "order", "shuffle"))
		return;
	struct bench_random random = bench_random_make(7);
	for (uint32_t i = depth - 1; i > 0; i--) {
		uint32_t j = bench_random_below(&random, i + 1);
		uint32_t swap = order[i];
		order[i] = order[j];
		order[j] = swap;
	}
}

int main(int argc, char **argv) {
	(void)argc;
	bench_start(argv, "size depth count order");
	size_t size = (size_t)bench_number(argv, "size", 64);
	uint32_t depth = (uint32_t)bench_number(argv, "depth", 1000);
	long loops = bench_number(argv, "count", 10000000) / (long)depth;
	uint32_t *order = bench_map(depth * sizeof *order);
	void **block = bench_map(depth * sizeof *block);
	batches_order(order, depth, argv);
	uint64_t start = bench_now();
	for (long loop = 0; loop < loops; loop++) {
		for (uint32_t i = 0; i < depth; i++) {
			block[i] = bench_alloc(size);
			bench_mark(block[i], size, i);
		}
		for (uint32_t i = 0; i < depth; i++) {
			uint32_t at = order[i];
			bench_check(block[at], size, at);
			free(block[at]);
		}
	}
	double ns = (double)(bench_now() - start) / (double)loops / (double)depth;
	printf("ns=%.3f size=%zu depth=%u", ns, size, depth);
	return bench_end();
}
