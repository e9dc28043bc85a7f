/*
 * burst ended|alive: a program holds 64 MiB.  32 threads take 1 GiB together, free all of it, and end or stay.
 * Then everybody sleeps.  Fifteen seconds later the resident memory must be within a tenth, and 10 MiB, of what
 * is still in use.
 */
#define _GNU_SOURCE
#include "../../harness.h"

#include <pthread.h>

enum { THREADS = 32, EACH = 32 << 20, HELD = 64 << 20, IDLE = 15 };

static pthread_barrier_t barrier;
static uint64_t seed;
static bool stay;

struct block {
	struct block *next;
};

static size_t draw_size(uint64_t *random) {
	size_t kind = test_below(random, 100);
	if (kind < 80)
		return sizeof(struct block) + test_below(random, 1000);
	if (kind < 98)
		return sizeof(struct block) + test_below(random, 30000);
	return sizeof(struct block) + test_below(random, 500000);
}

/* A list of blocks of `total` bytes together, all written. */
static struct block *take(uint64_t *random, size_t total) {
	struct block *list = NULL;
	for (size_t taken = 0; taken < total;) {
		size_t size = draw_size(random);
		struct block *block = malloc(size);
		CHECK(block != NULL);
		memset(block, 1, size);
		taken += size;
		block->next = list;
		list = block;
	}
	return list;
}

static size_t drop(struct block *list) {
	size_t bytes = 0;
	while (list != NULL) {
		struct block *next = list->next;
		bytes += malloc_usable_size(list);
		free(list);
		list = next;
	}
	return bytes;
}

/* The threads meet the main one when all is taken, when it has looked, and, if they stay, at the end. */
static void *life(void *argument) {
	uint64_t random = seed + (uintptr_t)argument + 1;
	struct block *list = take(&random, EACH);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	drop(list);
	pthread_barrier_wait(&barrier);
	if (stay)
		pthread_barrier_wait(&barrier);
	return NULL;
}

static void join(pthread_t *threads) {
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(int count, char **arguments) {
	CHECK(count == 2);
	stay = strcmp(arguments[1], "alive") == 0;
	seed = test_seed();
	uint64_t random = seed;
	struct block *held = take(&random, HELD);
	pthread_t threads[THREADS];
	CHECK(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, life, (void *)(uintptr_t)i) == 0);
	pthread_barrier_wait(&barrier);
	size_t peak = test_status_kib("VmRSS");
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	if (!stay)
		join(threads);
	size_t freed = test_status_kib("VmRSS");
	sleep(IDLE);
	size_t idle = test_status_kib("VmRSS"), live = drop(held) / 1024;
	fprintf(stderr, "threads %s, KiB: peak %zu, just freed %zu, idle %zu, live %zu\n", arguments[1], peak,
	        freed, idle, live);
	CHECK(peak > 1024 * 1024);
	CHECK(live > HELD / 1024 && live < HELD / 1024 * 5 / 4);
	CHECK(idle >= live && idle <= live + live / 10 + 10 * 1024);
	if (stay) {
		pthread_barrier_wait(&barrier);
		join(threads);
	}
	return 0;
}
