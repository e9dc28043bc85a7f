/* mixed.c - random lifetimes: each of `threads` threads allocates blocks of 8 B to 64 KiB (log-uniform) that
 * live for 1 to 2^life allocations (log-uniform), kept in a wheel of lists threaded through the blocks
 * themselves. Figure: ns per allocation and its free. */
#include "bench.h"

struct mixed_block {
	struct mixed_block *next;
};

struct mixed_thread {
	uint64_t seed;      /* [const after start] */
	long ops;           /* [const after start] */
	unsigned life;      /* [const after start] log2 of the longest life */
	unsigned low, high; /* [const after start] log2 of the sizes */
};

static void mixed_drop(struct mixed_block *list) {
	while (list != NULL) {
		struct mixed_block *next = list->next;
		free(list);
		list = next;
	}
}

static void *mixed_body(void *arg) {
	struct mixed_thread *self = arg;
	struct bench_random random = bench_random_make(self->seed);
	size_t wheel_size = (size_t)1 << self->life;
	struct mixed_block **wheel = bench_map(wheel_size * sizeof *wheel);
	for (long i = 0; i < self->ops; i++) {
		size_t now = (size_t)i & (wheel_size - 1);
		mixed_drop(wheel[now]);
		wheel[now] = NULL;
		size_t size = bench_random_log(&random, self->low, self->high);
		size_t death = (now + bench_random_log(&random, 0, self->life)) & (wheel_size - 1);
		struct mixed_block *block = bench_alloc(size);
		bench_touch(block, 0, size);
		block->next = wheel[death];
		wheel[death] = block;
	}
	for (size_t i = 0; i < wheel_size; i++)
		mixed_drop(wheel[i]);
	munmap(wheel, wheel_size * sizeof *wheel);
	return NULL;
}

int main(int argc, char **argv) {
	(void)argc;
	bench_start(argv, "threads ops life low high");
	unsigned threads = (unsigned)bench_number(argv, "threads", 4);
	long ops = bench_number(argv, "ops", 1000000);
	struct mixed_thread *thread = bench_map(threads * sizeof *thread);
	for (unsigned i = 0; i < threads; i++) {
		thread[i].seed = i;
		thread[i].ops = ops;
		thread[i].life = (unsigned)bench_number(argv, "life", 16);
		thread[i].low = (unsigned)bench_number(argv, "low", 3);
		thread[i].high = (unsigned)bench_number(argv, "high", 16);
	}
	uint64_t start = bench_now();
	bench_threads(threads, mixed_body, thread, sizeof *thread);
	double ns = (double)(bench_now() - start) / (double)ops / threads;
	printf("ns=%.3f threads=%u", ns, threads);
	return bench_end();
}
