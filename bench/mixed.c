/* mixed.c - random lifetimes: each of `threads` threads allocates blocks that live for 1 to 2^life allocations
 * (log-uniform), kept in a wheel of lists threaded through the blocks themselves. Figure: ns per allocation and its
 * free. Sizes by sizes=
 *
 *     log     2^low to 2^high bytes, log-uniform (8 B to 64 KiB unless said otherwise)
 *     small   90 % to 128 bytes, 9 % to 1 KiB, 1 % to 32 KiB: what most programs ask for
 *     pareto  from 16 bytes, shape 1, to 1 MiB: as many bytes between 16 and 32 as between 512 KiB and 1 MiB */
#include "bench.h"

struct mixed_block {
	struct mixed_block *next;
};

struct mixed_thread;
typedef size_t mixed_size_fn(const struct mixed_thread *self, struct bench_random *random);

struct mixed_thread {
	uint64_t seed;       /* [const after start] */
	long ops;            /* [const after start] */
	unsigned life;       /* [const after start] log2 of the longest life */
	unsigned low, high;  /* [const after start] log2 of the sizes, of mixed_log */
	mixed_size_fn *size; /* [const after start] */
};

static size_t mixed_log(const struct mixed_thread *self, struct bench_random *random) {
	return bench_random_log(random, self->low, self->high);
}

static size_t mixed_small(const struct mixed_thread *self, struct bench_random *random) {
	(void)self;
	uint32_t kind = bench_random_below(random, 100);
	return 8 + bench_random_below(random, kind == 0 ? 32761 : kind < 10 ? 1017 : 121);
}

static size_t mixed_pareto(const struct mixed_thread *self, struct bench_random *random) {
	(void)self;
	uint64_t size = (UINT64_C(16) << 32) / ((bench_random_next(random) >> 32) + 1);
	return size < (1 << 20) ? (size_t)size : (size_t)1 << 20;
}

/* By the name that sizes= gives. */
static mixed_size_fn *mixed_sizes(char **argv) {
	if (bench_is(argv, "sizes", "small"))
		return mixed_small;
	if (bench_is(argv, "sizes", "pareto"))
		return mixed_pareto;
	if (bench_word(argv, "sizes") != NULL && !bench_is(argv, "sizes", "log"))
		bench_fail("sizes must be log, small or pareto");
	return mixed_log;
}

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
		size_t size = self->size(self, &random);
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
	bench_start(argv, "threads ops life low high sizes");
	unsigned threads = (unsigned)bench_number(argv, "threads", 4);
	long ops = bench_number(argv, "ops", 1000000);
	struct mixed_thread *thread = bench_map(threads * sizeof *thread);
	for (unsigned i = 0; i < threads; i++) {
		thread[i].seed = i;
		thread[i].ops = ops;
		thread[i].life = (unsigned)bench_number(argv, "life", 16);
		thread[i].low = (unsigned)bench_number(argv, "low", 3);
		thread[i].high = (unsigned)bench_number(argv, "high", 16);
		thread[i].size = mixed_sizes(argv);
	}
	uint64_t start = bench_now();
	bench_threads(threads, mixed_body, thread, sizeof *thread);
	double ns = (double)(bench_now() - start) / (double)ops / threads;
	printf("ns=%.3f threads=%u", ns, threads);
	return bench_end();
}
