/* churn.c - `threads` threads started and joined, `at` of them alive at a time, each doing `ops` mixed
 * malloc/free. With survivors=N every thread leaves N blocks behind and frees the N that an earlier thread
 * left, so that memory of dead threads stays in use. Figures: microseconds per thread, and how much the
 * resident set grew between 10 % and 100 % of the run. */
#include "bench.h"

enum { CHURN_HELD = 16 };

struct churn_left {
	unsigned char *block;
	uint32_t size;
};

struct churn_thread {
	pthread_t id;            /* [main thread] */
	bool running;            /* [main thread] */
	uint64_t seed;           /* [const while the thread runs] */
	long ops;                /* [const after start] */
	uint32_t survivors;      /* [const after start] */
	struct churn_left *left; /* [running thread] what its predecessors left, a table of `survivors` */
};

static uint32_t churn_size(struct bench_random *random) {
	/* Mostly small, now and then a few pages, as a request handler does. */
	uint32_t kind = bench_random_below(random, 16);
	if (kind == 0)
		return 4096 + bench_random_below(random, 28672);
	return 16 + bench_random_below(random, kind < 4 ? 2048 : 256);
}

static void churn_replace(struct churn_left *at, struct bench_random *random) {
	if (at->block != NULL) {
		bench_check(at->block, at->size, at->size);
		free(at->block);
	}
	at->size = churn_size(random);
	at->block = bench_alloc(at->size);
	bench_mark(at->block, at->size, at->size);
}

static void *churn_body(void *arg) {
	struct churn_thread *self = arg;
	struct bench_random random = bench_random_make(self->seed);
	struct churn_left held[CHURN_HELD] = {{NULL, 0}};
	for (long i = 0; i < self->ops; i++)
		churn_replace(&held[bench_random_below(&random, CHURN_HELD)], &random);
	for (int i = 0; i < CHURN_HELD; i++) {
		if (held[i].block != NULL)
			bench_check(held[i].block, held[i].size, held[i].size);
		free(held[i].block);
	}
	for (uint32_t i = 0; i < self->survivors; i++)
		churn_replace(&self->left[i], &random);
	return NULL;
}

static void churn_join(struct churn_thread *thread) {
	if (thread->running && pthread_join(thread->id, NULL) != 0)
		bench_fail("pthread_join");
	thread->running = false;
}

/* Starts thread number n where the oldest has ended; gives the resident set to the two marks. */
static void churn_run(struct churn_thread *thread, unsigned at, long threads, long *rss) {
	for (long n = 0; n < threads; n++) {
		struct churn_thread *next = &thread[n % at];
		churn_join(next);
		next->seed = (uint64_t)n;
		if (pthread_create(&next->id, NULL, churn_body, next) != 0)
			bench_fail("pthread_create");
		next->running = true;
		if (n == threads / 10)
			rss[0] = bench_rss();
	}
	for (unsigned i = 0; i < at; i++)
		churn_join(&thread[i]);
	rss[1] = bench_rss();
}

int main(int argc, char **argv) {
	(void)argc;
	bench_start(argv, "threads at ops survivors");
	long threads = bench_number(argv, "threads", 100000);
	unsigned at = (unsigned)bench_number(argv, "at", 8);
	if (at == 0)
		bench_fail("at must be at least 1");
	uint32_t survivors = (uint32_t)bench_number(argv, "survivors", 0);
	struct churn_thread *thread = bench_map(at * sizeof *thread);
	for (unsigned i = 0; i < at; i++) {
		thread[i].ops = bench_number(argv, "ops", 100);
		thread[i].survivors = survivors;
		thread[i].left = bench_map(survivors * sizeof *thread[i].left + 1);
	}
	long rss[2] = {0, 0};
	uint64_t start = bench_now();
	churn_run(thread, at, threads, rss);
	double us = (double)(bench_now() - start) / 1e3 / (double)threads;
	for (unsigned i = 0; i < at; i++) {
		for (uint32_t j = 0; j < survivors; j++)
			free(thread[i].left[j].block);
	}
	printf("us_thread=%.3f growth_kib=%ld rss_10_kib=%ld rss_100_kib=%ld", us, rss[1] - rss[0], rss[0],
	       rss[1]);
	return bench_end();
}
