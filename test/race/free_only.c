/*
 * Threads that only free, threads that end while others still free their blocks, and threads whose first use
 * of the heap is a free inside a key destructor.
 */
// ctest-timeout: 300
// ctest-also: MALLOC_CONF=percpu_cache:true
#define _GNU_SOURCE
#include "../harness.h"

#include <pthread.h>
#include <stdatomic.h>

enum { BLOCKS = 6000, ROUNDS = 120, FREERS = 4 };

static void *blocks[BLOCKS];
static size_t sizes[BLOCKS];
static atomic_size_t next;
static pthread_key_t late;
static uint64_t seed;

static void *maker(void *argument) {
	uint64_t random = seed + (uintptr_t)argument;
	for (size_t i = 0; i < BLOCKS; i++) {
		sizes[i] = test_below(&random, i % 50 == 0 ? 100000 : 1000);
		blocks[i] = malloc(sizes[i]);
		CHECK(blocks[i] != NULL);
		test_fill(blocks[i], sizes[i], i);
	}
	return NULL;
}

static void free_some(size_t count) {
	for (; count > 0; count--) {
		size_t at = atomic_fetch_add(&next, 1);
		if (at >= BLOCKS)
			return;
		CHECK(test_holds(blocks[at], sizes[at], sizes[at], at));
		free(blocks[at]);
		blocks[at] = NULL;
	}
}

static void free_at_end(void *unused) {
	(void)unused;
	free_some(BLOCKS / FREERS / 2);
}

/* Never allocates: frees now, or only when its key is destroyed, or both. */
static void *freer(void *argument) {
	size_t kind = (size_t)(uintptr_t)argument % 3;
	if (kind != 0)
		CHECK(pthread_setspecific(late, &late) == 0);
	if (kind != 1)
		free_some(BLOCKS);
	return NULL;
}

/* The maker is gone before the freers start. */
static void after_the_maker(size_t round) {
	pthread_t thread, freers[FREERS];
	CHECK(pthread_create(&thread, NULL, maker, (void *)(uintptr_t)round) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	atomic_store(&next, 0);
	for (size_t i = 0; i < FREERS; i++)
		CHECK(pthread_create(&freers[i], NULL, freer, (void *)(uintptr_t)(i + round)) == 0);
	for (size_t i = 0; i < FREERS; i++)
		CHECK(pthread_join(freers[i], NULL) == 0);
	free_some(BLOCKS);
}

struct handoff {
	_Atomic(void *) block;
	atomic_bool done;
};

/* Hands out one block after another and ends while the last ones are still being freed. */
static void *leaver(void *argument) {
	struct handoff *handoff = argument;
	for (size_t i = 0; i < 300; i++) {
		void *ptr = malloc(40 + i), *rest;
		CHECK(ptr != NULL);
		memset(ptr, 1, 40 + i);
		rest = atomic_exchange(&handoff->block, ptr);
		free(rest);
	}
	atomic_store(&handoff->done, true);
	return NULL;
}

static void during_the_exit(void) {
	static struct handoff handoffs[FREERS];
	pthread_t threads[FREERS];
	for (size_t i = 0; i < FREERS; i++) {
		atomic_store(&handoffs[i].done, false);
		CHECK(pthread_create(&threads[i], NULL, leaver, &handoffs[i]) == 0);
	}
	for (size_t busy = FREERS; busy > 0;) {
		busy = 0;
		for (size_t i = 0; i < FREERS; i++) {
			busy += !atomic_load(&handoffs[i].done);
			free(atomic_exchange(&handoffs[i].block, NULL));
		}
	}
	for (size_t i = 0; i < FREERS; i++) {
		free(atomic_exchange(&handoffs[i].block, NULL));
		CHECK(pthread_join(threads[i], NULL) == 0);
	}
}

int main(void) {
	seed = test_seed();
	CHECK(pthread_key_create(&late, free_at_end) == 0);
	size_t rounds = test_scaled(ROUNDS) + 4, settled = 0;
	for (size_t round = 0; round < rounds; round++) {
		after_the_maker(round);
		during_the_exit();
		if (round == rounds / 4)
			settled = test_status_kib("VmRSS");
	}
	CHECK(TEST_TSAN || test_status_kib("VmRSS") <= settled + settled / 4 + 8192);
	return 0;
}
