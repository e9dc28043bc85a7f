/* aligned.c - a set of `blocks` live blocks at alignments of 16 to 128 bytes and now and then a page, made by posix_memalign and
 * aligned_alloc in turn and freed by free; each operation replaces a random one. Sizes are 16 B to 8 KiB, log-uniform,
 * for aligned_alloc rounded up to the alignment. (Between 256 and 1024 mimalloc 2.0.9 gives blocks that are not aligned:
 * those stay out.) Figure: ns per replacement. */
#include "bench.h"

static void *aligned_put(struct bench_random *random, uint32_t slot) {
	uint32_t kind = bench_random_below(random, 16);
	size_t align = kind == 0 ? 4096 : (size_t)16 << kind % 4;
	size_t size = bench_random_log(random, 4, 13);
	void *block = NULL;
	if (slot % 2 == 0)
		block = aligned_alloc(align, (size + align - 1) & -align);
	else if (posix_memalign(&block, align, size) != 0)
		block = NULL;
	if (block == NULL)
		bench_fail("no aligned block");
	if (((uintptr_t)block & (align - 1)) != 0) {
		fprintf(stderr, "bench: %p is not aligned to %zu\n", block, align);
		abort();
	}
	bench_mark(block, 1, slot);
	return block;
}

int main(int argc, char **argv) {
	(void)argc;
	bench_start(argv, "blocks ops");
	uint32_t blocks = (uint32_t)bench_number(argv, "blocks", 2000);
	long ops = bench_number(argv, "ops", 1000000);
	struct bench_random random = bench_random_make(9);
	void **slot = bench_map(blocks * sizeof *slot);
	for (uint32_t i = 0; i < blocks; i++)
		slot[i] = aligned_put(&random, i);
	uint64_t start = bench_now();
	for (long i = 0; i < ops; i++) {
		uint32_t at = bench_random_below(&random, blocks);
		bench_check(slot[at], 1, at);
		free(slot[at]);
		slot[at] = aligned_put(&random, at);
	}
	double ns = (double)(bench_now() - start) / (double)ops;
	for (uint32_t i = 0; i < blocks; i++)
		free(slot[i]);
	printf("ns=%.3f blocks=%u", ns, blocks);
	return bench_end();
}
