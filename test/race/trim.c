/*
 * malloc_trim and ashlar.trim: what goes back is told, other threads flush when they next come to the full lane, and it may
 * be called by many at a time while others work.
 */
// ctest-timeout: 120
// ctest: MALLOC_CONF=dirty_decay_ms:-1,helper_thread:false,slab_sizes:2048-2048:64
#define _GNU_SOURCE
#include "../harness.h"
#include "../helpers.h"

#include <pthread.h>
#include <stdatomic.h>

enum { MIB = 64, BLOCKS = 20000, SIZE = 300, THREADS = 4, ROUNDS = TEST_TSAN ? 20 : 100 };

static pthread_barrier_t barrier;
static atomic_bool over;

static uint64_t fresh_figure(const char *name) {
	uint64_t epoch = 1;
	CHECK(SUT(mallctl)("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
	return figure(name);
}

static size_t trim(void) {
	return figure("ashlar.trim");
}

static void tells_what_went(void) {
	trim();
	CHECK(trim() == 0 && SUT(malloc_trim)(0) == 0);
	burst(MIB);
	CHECK(fresh_figure("stats.ashlar.dirty") >= MIB << 20);
	size_t given = trim();
	CHECK(given >= MIB << 20 && given < (MIB + 16) << 20);
	CHECK(fresh_figure("stats.ashlar.dirty") < 1 << 20);
	CHECK(trim() == 0);
	burst(MIB);
	CHECK(SUT(malloc_trim)(0) == 1 && SUT(malloc_trim)(SIZE_MAX) == 0);
}

/* One block of each slab stays. */
static void counts_pages_of_slabs(void) {
	static void *block[(MIB << 20) / 448];
	const size_t count = sizeof block / sizeof *block;
	for (size_t i = 0; i < count; i++) {
		block[i] = SUT(malloc)(448);
		CHECK(block[i] != NULL);
		memset(block[i], 1, 448);
	}
	for (size_t i = 0; i < count; i++)
		if (i % 64 != 0)
			SUT(free)(block[i]);
	size_t given = trim();
	CHECK(given >= (MIB * 5 / 7 - 1) << 20 && given < (MIB + 1) << 20);
	CHECK(trim() == 0);
	for (size_t i = 0; i < count; i += 64)
		SUT(free)(block[i]);
	trim();
}

/* Slabs of more pages than are told apart. */
static void spares_blocks(void) {
	enum { SLAB = 128, USED = 8 };
	static void *block[20 * SLAB];
	for (size_t i = 0; i < 20 * SLAB; i++) {
		block[i] = SUT(malloc)(2048);
		CHECK(block[i] != NULL);
		test_fill(block[i], 2048, i);
	}
	for (size_t i = 0; i < 20 * SLAB; i++)
		if (i % SLAB >= USED)
			SUT(free)(block[i]);
	trim();
	for (size_t i = 0; i < 20 * SLAB; i++) {
		if (i % SLAB >= USED)
			continue;
		CHECK(test_holds(block[i], 2048, 2048, i));
		SUT(free)(block[i]);
	}
}

static void as_a_name(void) {
	size_t given = 1, size = sizeof given;
	uint32_t less = 0;
	CHECK(SUT(mallctl)("ashlar.trim", NULL, NULL, &given, sizeof given) == EPERM);
	size = sizeof less;
	burst(MIB);
	CHECK(SUT(mallctl)("ashlar.trim", &less, &size, NULL, 0) == EINVAL);
	CHECK(fresh_figure("stats.ashlar.dirty") >= MIB << 20); /* and nothing was done */
	CHECK(SUT(mallctl)("ashlar.trim", NULL, NULL, NULL, 0) == 0);
	CHECK(fresh_figure("stats.ashlar.dirty") < 1 << 20);
}

/* -- other threads --------------------------------------------------------------------------------------------- */

/* Allocates and frees in turn until the cache holds much. */
static void fill_cache(void) {
	static _Thread_local void *blocks[2000];
	for (int round = 0; round < 100; round++) {
		for (size_t i = 0; i < 2000; i++)
			blocks[i] = malloc(SIZE);
		for (size_t i = 0; i < 2000; i++)
			free(blocks[i]);
	}
}

static void *hoards(void *argument) {
	fill_cache();
	pthread_barrier_wait(&barrier); /* full */
	pthread_barrier_wait(&barrier); /* the main thread has trimmed */
	free(malloc(1 << 20));
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return argument;
}

static void others_flush(void) {
	pthread_t thread;
	CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
	CHECK(pthread_create(&thread, NULL, hoards, NULL) == 0);
	pthread_barrier_wait(&barrier);
	trim();
	size_t held = fresh_figure("stats.ashlar.cached");
	CHECK(held > 100000);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	size_t left = fresh_figure("stats.ashlar.cached");
	fprintf(stderr, "in caches %zu, after the visit %zu\n", held, left);
	CHECK(left < 10000);
	CHECK(trim() > held / 2);
	pthread_barrier_wait(&barrier);
	CHECK(pthread_join(thread, NULL) == 0);
}

/* Takes, frees and trims. */
static void *works(void *argument) {
	uint64_t random = (uintptr_t)argument + 1;
	static _Thread_local void *blocks[500];
	for (int round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < 500; i++) {
			size_t size = 8 + test_below(&random, 5000);
			blocks[i] = malloc(size);
			CHECK(blocks[i] != NULL);
			test_fill(blocks[i], size, i);
		}
		if (round % 4 == (int)(uintptr_t)argument % 4)
			trim();
		for (size_t i = 0; i < 500; i++)
			free(blocks[i]);
	}
	return NULL;
}

static void *trims(void *argument) {
	while (!atomic_load(&over))
		(void)SUT(malloc_trim)(0);
	return argument;
}

static void many(void) {
	pthread_t threads[THREADS], trimmer;
	CHECK(pthread_create(&trimmer, NULL, trims, NULL) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, works, (void *)i) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	atomic_store(&over, true);
	CHECK(pthread_join(trimmer, NULL) == 0);
	trim();
	CHECK(fresh_figure("stats.ashlar.dirty") < 1 << 20);
}

int main(void) {
	tells_what_went();
	counts_pages_of_slabs();
	spares_blocks();
	as_a_name();
	others_flush();
	many();
	return 0;
}
