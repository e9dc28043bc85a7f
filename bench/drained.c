/* drained.c - a program whose few long-lived blocks lie among many short-lived ones. Each of `threads` threads allocates
 * its share of `mib` MiB, one block in `keep` of which stays, and frees the others: `waves` times. With turns=N each wave
 * also replaces random short-lived blocks, N times as many as there are. Then every thread empties its cache and parks, for `idle` seconds.
 * dist=small: 16 to 512 bytes alike; dist=pareto: from 16 bytes, shape 1.2, to 32 KiB.
 * Figure: stats.active by mallctl over the bytes that stay, nan where there is none. (Not over stats.allocated, which
 * counts what lies in caches.) */
#include "bench.h"

#include <dlfcn.h>
#include <math.h>

typedef int (*drained_control)(const char *, void *, size_t *, void *, size_t);

struct drained_block {
	struct drained_block *next; /* in the list of the kept */
	uint32_t size;
};

struct drained_thread {
	uint64_t seed;                /* [const after start] */
	size_t window;                /* [const after start] bytes */
	unsigned waves, turns, keep;  /* [const after start] */
	bool pareto;                  /* [const after start] */
	size_t kept;                  /* [owner thread until the gate] bytes */
	struct drained_block *blocks; /* [owner thread until the gate] */
	pthread_barrier_t *gate;
};

static drained_control drained_ctl;

static uint32_t drained_size(const struct drained_thread *self, struct bench_random *random) {
	if (!self->pareto)
		return 16 + bench_random_below(random, 497);
	double u = ((double)(bench_random_next(random) >> 11) + 1) / 9007199254740993.0;
	double size = 16 * pow(u, -1 / 1.2);
	return size > 32768 ? 32768 : (uint32_t)size;
}

static struct drained_block *drained_take(const struct drained_thread *self, struct bench_random *random) {
	uint32_t size = drained_size(self, random);
	struct drained_block *block = bench_alloc(size);
	bench_touch(block, 0, size);
	block->next = NULL;
	block->size = size;
	return block;
}

/* A block that goes into the window, after those that are kept. */
static struct drained_block *drained_next(struct drained_thread *self, struct bench_random *random) {
	for (;;) {
		struct drained_block *block = drained_take(self, random);
		if (bench_random_below(random, self->keep) != 0)
			return block;
		block->next = self->blocks;
		self->blocks = block;
		self->kept += block->size;
	}
}

static void drained_wave(struct drained_thread *self, struct bench_random *random,
                         struct drained_block **slot) {
	uint32_t slots = 0;
	for (size_t bytes = 0; bytes < self->window; bytes += slot[slots++]->size)
		slot[slots] = drained_next(self, random);
	for (uint64_t i = 0; i < (uint64_t)slots * self->turns; i++) {
		uint32_t at = bench_random_below(random, slots);
		struct drained_block *block = drained_next(self, random);
		free(slot[at]);
		slot[at] = block;
	}
	for (uint32_t i = 0; i < slots; i++)
		free(slot[i]);
}

static void drained_run(struct drained_thread *self) {
	struct bench_random random = bench_random_make(self->seed);
	size_t room = self->window / 16 * sizeof(void *);
	struct drained_block **slot = bench_map(room);
	for (unsigned wave = 0; wave < self->waves; wave++)
		drained_wave(self, &random, slot);
	munmap(slot, room);
}

static void *drained_body(void *arg) {
	struct drained_thread *self = arg;
	drained_run(self);
	if (drained_ctl != NULL)
		drained_ctl("thread.tcache.flush", NULL, NULL, NULL, 0);
	pthread_barrier_wait(self->gate); /* all are drained */
	pthread_barrier_wait(self->gate); /* the main thread has looked */
	return NULL;
}

static size_t drained_read(const char *name) {
	size_t value = 0, size = sizeof value;
	if (drained_ctl(name, &value, &size, NULL, 0) != 0)
		bench_fail(name);
	return value;
}

/* Blocks on their way between threads count as allocated until somebody looks for them, and pages go back as time passes. */
static size_t drained_active(long idle) {
	uint64_t epoch = 1;
	if (drained_ctl == NULL)
		return 0;
	drained_ctl("thread.tcache.flush", NULL, NULL, NULL, 0);
	bench_sleep(idle);
	if (drained_ctl("epoch", NULL, NULL, &epoch, sizeof epoch) != 0)
		bench_fail("epoch");
	return drained_read("stats.active");
}

static void drained_report(size_t kept, long idle) {
	size_t active = drained_active(idle), allocated = active == 0 ? 0 : drained_read("stats.allocated");
	printf("ratio=%.3f active_kib=%zu allocated_kib=%zu kept_kib=%zu rss_kib=%ld\n",
	       active == 0 ? (double)NAN : (double)active / (double)kept, active / 1024, allocated / 1024,
	       kept / 1024, bench_rss());
}

int main(int argc, char **argv) {
	(void)argc;
	bench_start(argv, "threads dist mib waves turns keep idle");
	unsigned threads = (unsigned)bench_number(argv, "threads", 1);
	*(void **)&drained_ctl = dlsym(RTLD_DEFAULT, "mallctl");
	pthread_barrier_t gate;
	pthread_barrier_init(&gate, NULL, threads + 1);
	pthread_t *id = bench_map(threads * sizeof *id);
	struct drained_thread *thread = bench_map(threads * sizeof *thread);
	for (unsigned i = 0; i < threads; i++) {
		thread[i] = (struct drained_thread){.seed = i,
		                                    .window = ((size_t)bench_number(argv, "mib", 64) << 20) /
		                                              threads,
		                                    .waves = (unsigned)bench_number(argv, "waves", 20),
		                                    .turns = (unsigned)bench_number(argv, "turns", 0),
		                                    .keep = (unsigned)bench_number(argv, "keep", 100),
		                                    .pareto = bench_is(argv, "dist", "pareto"),
		                                    .gate = &gate};
		if (pthread_create(&id[i], NULL, drained_body, &thread[i]) != 0)
			bench_fail("pthread_create");
	}
	pthread_barrier_wait(&gate);
	size_t kept = 0;
	for (unsigned i = 0; i < threads; i++)
		kept += thread[i].kept;
	drained_report(kept, bench_number(argv, "idle", 15));
	pthread_barrier_wait(&gate);
	for (unsigned i = 0; i < threads; i++)
		pthread_join(id[i], NULL);
	return 0;
}
