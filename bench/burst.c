/* burst.c - `threads` threads together allocate `mib` MiB in blocks of 16 B to 64 KiB, touch it, and free it
 * all once everybody has allocated; with keep=N one block in N stays alive. Then they park (parked=1) or exit,
 * and the process sits still for `idle` seconds, but for a light load of the main thread: rate=N calls a second, of
 * small blocks that a cache serves. With threads=0 the main thread does all of it. Figure: the resident set after that;
 * over_kib is what it exceeds 1.10 x live + 10 MiB by, where live is what the program still holds. */
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

static struct burst_block *burst_take(struct burst_thread *self) {
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
	return list;
}

static void *burst_body(void *arg) {
	struct burst_thread *self = arg;
	struct burst_block *list = burst_take(self);
	pthread_barrier_wait(self->gate); /* everything is allocated */
	pthread_barrier_wait(self->gate); /* the main thread has seen the peak */
	burst_free(self, list);
	pthread_barrier_wait(self->gate); /* everything is freed */
	if (self->parked)
		pthread_barrier_wait(self->gate);
	return NULL;
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

static struct burst_thread *burst_prepare(char **argv, unsigned threads, pthread_barrier_t *gate) {
	unsigned parts = threads > 0 ? threads : 1;
	struct burst_thread *thread = bench_map(parts * sizeof *thread);
	pthread_barrier_init(gate, NULL, threads + 1);
	for (unsigned i = 0; i < parts; i++) {
		thread[i].seed = i;
		thread[i].bytes = ((size_t)bench_number(argv, "mib", 1024) << 20) / parts;
		thread[i].keep = (unsigned long)bench_number(argv, "keep", 0);
		thread[i].parked = bench_number(argv, "parked", 1) != 0;
		thread[i].gate = gate;
	}
	return thread;
}

/* The main thread's part: all of it where there are no others. */
static void burst_run(struct burst_thread *thread, unsigned threads, long *rss) {
	pthread_t *id = bench_map((threads + 1) * sizeof *id);
	struct burst_block *list = NULL;
	for (unsigned i = 0; i < threads; i++) {
		if (pthread_create(&id[i], NULL, burst_body, &thread[i]) != 0)
			bench_fail("pthread_create");
	}
	if (threads == 0)
		list = burst_take(thread);
	pthread_barrier_wait(thread->gate);
	rss[0] = bench_rss();
	pthread_barrier_wait(thread->gate);
	if (threads == 0)
		burst_free(thread, list);
	pthread_barrier_wait(thread->gate);
	for (unsigned i = 0; i < threads && !thread->parked; i++)
		pthread_join(id[i], NULL);
	rss[1] = bench_rss();
}

/* Threads that are parked still are when the process ends. */
int main(int argc, char **argv) {
	(void)argc;
	bench_start(argv, "threads mib idle parked keep rate");
	unsigned threads = (unsigned)bench_number(argv, "threads", 32);
	pthread_barrier_t gate;
	long rss[3];
	struct burst_thread *thread = burst_prepare(argv, threads, &gate);
	burst_run(thread, threads, rss);
	bench_rest(bench_number(argv, "idle", 15), bench_number(argv, "rate", 0));
	rss[2] = bench_rss();
	burst_report(rss, burst_live(thread, threads > 0 ? threads : 1));
	printf("\n");
	return 0;
}
