/* burst.c - `threads` threads together allocate `mib` MiB in blocks of 16 B to 64 KiB, touch it, and free it
 * all once everybody has allocated; with keep=N one block in N stays alive. Then they park (parked=1) or exit,
 * and the process sits still for `idle` seconds (beat=1: but for bench_rest). Figure: the resident set after that; over_kib is what it
 * exceeds 1.10 x live + 10 MiB by, where live is what the program still holds. */
#include "bench.h"

struct burst_block {
	struct burst_block *next;
	size_t size;
};

struct burst_thread {
	uint64_t seed;
	size_t bytes;             /* [const after start] to allocate */
	struct burst_block *kept; /* [owner thread until the third gate] */
	size_t live;              /* [owner thread until the third gate] bytes kept */
	unsigned long keep;       /* [const after start] one block in so many stays, 0 for none */
	bool parked;              /* [const after start] */
	pthread_barrier_t *gate;
};

static void burst_free(struct burst_thread *self, struct burst_block *list) {
	unsigned long n = 0;
	while (list != NULL) {
		struct burst_block *next = list->next;
		if (self->keep != 0 && ++n % self->keep == 0) {
			list->next = self->kept;
			self->kept = list;
			self->live += list->size;
		} else {
			free(list);
		}
		list = next;
	}
}

static void *burst_body(void *arg) {
	struct burst_thread *self = arg;
	struct bench_random random = bench_random_make(self->seed);
	struct burst_block *list = NULL;
	for (size_t bytes = 0; bytes < self->bytes;) {
		size_t size = bench_random_log(&random, 4, 16);
		struct burst_block *block = bench_alloc(size);
		memset(block, 1, size);
		block->next = list;
		block->size = size;
		list = block;
		bytes += size;
	}
	pthread_barrier_wait(self->gate); /* everything is allocated */
	pthread_barrier_wait(self->gate); /* the main thread has seen the peak */
	burst_free(self, list);
	pthread_barrier_wait(self->gate); /* everything is freed */
	if (self->parked)
		pthread_barrier_wait(self->gate);
	return NULL;
}

static void burst_start(pthread_t *id, struct burst_thread *thread, unsigned threads) {
	for (unsigned i = 0; i < threads; i++) {
		if (pthread_create(&id[i], NULL, burst_body, &thread[i]) != 0)
			bench_fail("pthread_create");
	}
}

/* Adds up what the threads kept, and checks that it is still what was written. */
static size_t burst_live(const struct burst_thread *thread, unsigned threads) {
	size_t live = 0;
	for (unsigned i = 0; i < threads; i++) {
		for (const struct burst_block *at = thread[i].kept; at != NULL; at = at->next) {
			if (at->size > sizeof *at && ((const unsigned char *)at)[at->size - 1] != 1)
				bench_fail("a kept block was overwritten");
		}
	}
	for (unsigned i = 0; i < threads; i++)
		live += thread[i].live;
	return live;
}

static void burst_report(const long *rss, size_t live) {
	double limit = 1.10 * (double)live / 1024 + 10 * 1024;
	printf("rss_kib=%ld over_kib=%.0f live_kib=%zu peak_kib=%ld freed_kib=%ld", rss[2],
	       (double)rss[2] - limit, live / 1024, rss[0], rss[1]);
}

int main(int argc, char **argv) {
	(void)argc;
	bench_start(argv, "threads mib idle parked keep beat");
	unsigned threads = (unsigned)bench_number(argv, "threads", 32);
	bool parked = bench_number(argv, "parked", 1) != 0;
	pthread_barrier_t gate;
	pthread_barrier_init(&gate, NULL, threads + 1);
	pthread_t *id = bench_map(threads * sizeof *id);
	struct burst_thread *thread = bench_map(threads * sizeof *thread);
	for (unsigned i = 0; i < threads; i++) {
		thread[i].seed = i;
		thread[i].bytes = ((size_t)bench_number(argv, "mib", 1024) << 20) / threads;
		thread[i].keep = (unsigned long)bench_number(argv, "keep", 0);
		thread[i].parked = parked;
		thread[i].gate = &gate;
	}
	long rss[3];
	burst_start(id, thread, threads);
	pthread_barrier_wait(&gate);
	rss[0] = bench_rss();
	pthread_barrier_wait(&gate);
	pthread_barrier_wait(&gate);
	for (unsigned i = 0; i < threads && !parked; i++)
		pthread_join(id[i], NULL);
	rss[1] = bench_rss();
	bench_rest(bench_number(argv, "idle", 15), bench_number(argv, "beat", 0) != 0);
	rss[2] = bench_rss();
	if (parked)
		pthread_barrier_wait(&gate);
	for (unsigned i = 0; i < threads && parked; i++)
		pthread_join(id[i], NULL);
	burst_report(rss, burst_live(thread, threads));
	printf("\n");
	return 0;
}
