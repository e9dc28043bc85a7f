/*
 * Threads free each other's blocks, sampled ones and their neighbours on the same pages, while one switches profiling on
 * and off, changes the rate, dumps, and looks at the last samples. In the end nothing is live.
 */
// ctest-timeout: 300
// ctest-also: MALLOC_CONF=percpu_cache:true
#define _GNU_SOURCE
#include "../harness.h"

#include <pthread.h>
#include <stdatomic.h>

int SUT(mallctl)(const char *name, void *old, size_t *old_size, void *new, size_t new_size);

enum { WORKERS = 4, PLACES = 3000, ROUNDS = 300000 };

static _Atomic(void *) places[PLACES];
static atomic_uint running = WORKERS;
static uint64_t seed;

static size_t draw_size(uint64_t *random) {
	uint64_t kind = test_below(random, 100);
	return test_below(random, kind < 90 ? 300 : kind < 99 ? 20000 : 200000) + 1;
}

static void *worker(void *argument) {
	uint64_t random = seed + (uintptr_t)argument;
	size_t rounds = test_scaled(ROUNDS);
	for (size_t i = 0; i < rounds; i++) {
		size_t size = draw_size(&random);
		unsigned char *block = i % 3 == 0 ? calloc(1, size) : malloc(size);
		CHECK(block != NULL && malloc_usable_size(block) >= size);
		block[0] = block[size - 1] = 1;
		if (i % 5 == 0) {
			block = realloc(block, size = draw_size(&random));
			CHECK(block != NULL);
			block[size - 1] = 1;
		}
		free(atomic_exchange(&places[test_below(&random, PLACES)], block));
	}
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static void set_bool(const char *name, bool value) {
	CHECK(SUT(mallctl)(name, NULL, NULL, &value, sizeof value) == 0);
}

static void set_rate(size_t rate) {
	CHECK(SUT(mallctl)("prof.reset", NULL, NULL, &rate, sizeof rate) == 0);
}

static void count_text(void *opaque, const char *text) {
	*(size_t *)opaque += strlen(text);
}

static void note_head(void *opaque, const void *data, size_t size) {
	char *head = opaque;
	if (head[0] == 0)
		memcpy(head, data, size < 100 ? size : 100);
}

/* Live objects by a dump. */
static unsigned long dump(void) {
	char head[128] = "";
	unsigned long rate, objects;
	struct {
		void (*write)(void *, const void *, size_t);
		void *opaque;
	} receiver = {note_head, head};
	CHECK(SUT(mallctl)("prof.dump_call", NULL, NULL, &receiver, sizeof receiver) == 0);
	CHECK(sscanf(head, "heap_v2/%lu\n  t*: %lu:", &rate, &objects) == 2);
	return objects;
}

static void look(void) {
	size_t length = 0;
	struct {
		void (*write)(void *, const char *);
		void *opaque;
	} receiver = {count_text, &length};
	CHECK(SUT(mallctl)("experimental.prof_recent.alloc_dump", NULL, NULL, &receiver, sizeof receiver) ==
	      0);
	CHECK(length > 0);
}

int main(void) {
	pthread_t threads[WORKERS];
	ssize_t most = 50;
	seed = test_seed();
	alarm(280);
	set_bool("prof.active", true);
	set_rate(9);
	CHECK(SUT(mallctl)("experimental.prof_recent.alloc_max", NULL, NULL, &most, sizeof most) == 0);
	for (uintptr_t i = 0; i < WORKERS; i++)
		CHECK(pthread_create(&threads[i], NULL, worker, (void *)i) == 0);
	for (unsigned round = 0; atomic_load(&running) > 0; round++) {
		(void)dump();
		look();
		if (round % 4 == 1)
			set_rate(round % 8 == 1 ? 6 : 10);
		if (round % 5 == 2)
			set_bool("prof.active", round % 2 == 0);
		usleep(2000);
	}
	set_bool("prof.active", false);
	for (size_t i = 0; i < WORKERS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	for (size_t i = 0; i < PLACES; i++)
		free(atomic_load(&places[i]));
	/* What the C library keeps for threads may have been sampled. */
	CHECK(dump() < 100);
	return 0;
}
