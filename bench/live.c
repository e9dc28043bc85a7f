/* live.c - a set of `blocks` live blocks of random sizes 1..max; each operation frees a random one and
 * allocates another in its place. From a set that fits the processor's cache up to about 1 GB.
 * A new block is written at its start and once per page; one old block in 16 is looked at before it is freed:
 * looking at each would time the memory of the program more than the allocator. With touch=0 the blocks are neither
 * written nor looked at: what is left is the allocator and the random access to the set's table.
 * With zero=1 they come from calloc, and both ends of a new one must be zero.
 * Figure: ns per replacement. CPU time of the process includes building and dropping the set. */
#include "bench.h"

static bool live_touches, live_zeroed; /* [const after start] */

static unsigned char *live_calloc(size_t size) {
	unsigned char *block = calloc(1, size);
	if (block == NULL)
		bench_fail("calloc returned NULL");
	bench_check(block, size, 0);
	return block;
}

static unsigned char *live_put(struct bench_random *random, uint32_t max, uint32_t slot) {
	size_t size = 1 + bench_random_below(random, max);
	unsigned char *block = live_zeroed ? live_calloc(size) : bench_alloc(size);
	if (live_touches) {
		bench_touch(block, 4096, size);
		bench_mark(block, 1, slot);
	}
	return block;
}

int main(int argc, char **argv) {
	(void)argc;
	bench_start(argv, "blocks max ops seed touch zero");
	live_touches = bench_number(argv, "touch", 1) != 0;
	live_zeroed = bench_number(argv, "zero", 0) != 0;
	uint32_t blocks = (uint32_t)bench_number(argv, "blocks", 200000);
	uint32_t max = (uint32_t)bench_number(argv, "max", 256);
	long ops = bench_number(argv, "ops", 10000000);
	struct bench_random random = bench_random_make((uint64_t)bench_number(argv, "seed", 1));
	unsigned char **slot = bench_map(blocks * sizeof *slot);
	for (uint32_t i = 0; i < blocks; i++)
		slot[i] = live_put(&random, max, i);
	uint64_t start = bench_now();
	for (long i = 0; i < ops; i++) {
		uint32_t at = bench_random_below(&random, blocks);
		if (live_touches && i % 16 == 0)
			bench_check(slot[at], 1, at);
		free(slot[at]);
		slot[at] = live_put(&random, max, at);
	}
	double ns = (double)(bench_now() - start) / (double)(ops > 0 ? ops : 1);
	for (uint32_t i = 0; i < blocks; i++) {
		if (live_touches)
			bench_check(slot[i], 1, i);
		free(slot[i]);
	}
	printf("ns=%.3f blocks=%u max=%u", ns, blocks, max);
	return bench_end();
}
