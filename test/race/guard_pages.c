/* Blocks between guard pages pass from thread to thread, change their size and are freed anywhere, while pages are purged,
 * manual arenas come and go, and the process forks: no block changes its contents, and no page stays closed that is to
 * be used. */
// ctest: MALLOC_CONF=san_guard_large:2,san_guard_small:2,narenas:2,dirty_decay_ms:5,muzzy_decay_ms:5
#define _GNU_SOURCE
#include <jemalloc/jemalloc.h>

#include "../harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum { THREADS = 4, ROUNDS = 15000, PLACES = 64, FORKS = 6 };

struct block {
	size_t size;
	uint64_t tag;
	char rest[];
};

static uint64_t seed;
static _Atomic(struct block *) place[PLACES];

static size_t random_size(uint64_t *random) {
	size_t kind = test_below(random, 40);
	size_t most = kind == 0 ? (size_t)5 << 20 : kind < 10 ? 200000 : kind < 20 ? 33000 : 4000;
	return sizeof(struct block) + test_below(random, most);
}

/* The ends are what lies next to guard pages. */
static void fill(struct block *block, size_t size, uint64_t tag) {
	CHECK(block != NULL);
	block->size = size;
	block->tag = tag;
	size_t usable = SUT(malloc_usable_size)(block), rest = size - sizeof *block;
	test_fill(block->rest, rest < 500 ? rest : 500, tag);
	if (usable > size)
		((char *)block)[usable - 1] = 1;
}

static void check(const struct block *block) {
	size_t rest = block->size - sizeof *block, some = rest < 500 ? rest : 500;
	CHECK(test_holds(block->rest, some, some, block->tag));
}

static void step(uint64_t *random) {
	_Atomic(struct block *) *at = &place[test_below(random, PLACES)];
	struct block *block = atomic_exchange(at, NULL);
	size_t size = random_size(random);
	if (block == NULL) {
		block = test_below(random, 3) == 0 ? SUT(calloc)(1, size) : SUT(malloc)(size);
		fill(block, size, test_random(random));
	} else {
		check(block);
		if (test_below(random, 2) == 0) {
			SUT(free)(block);
			return;
		}
		uint64_t tag = block->tag;
		size_t old = block->size;
		block = SUT(realloc)(block, size);
		CHECK(block != NULL && block->tag == tag);
		block->size = old < size ? old : size; /* so much of it was kept */
		check(block);
		fill(block, size, tag);
	}
	SUT(free)(atomic_exchange(at, block));
}

static void *live(void *argument) {
	uint64_t random = seed + (uintptr_t)argument;
	for (size_t i = 0; i < test_scaled(ROUNDS); i++)
		step(&random);
	return NULL;
}

static void use_manual_arena(uint64_t *random) {
	unsigned index;
	size_t length = sizeof index;
	char name[64];
	CHECK(SUT(mallctl)("arenas.create", &index, &length, NULL, 0) == 0);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 100; i++) {
			size_t size = random_size(random);
			fill(SUT(mallocx)(size, MALLOCX_ARENA(index) | MALLOCX_TCACHE_NONE), size, i);
		}
		snprintf(name, sizeof name, round == 0 ? "arena.%u.reset" : "arena.%u.destroy", index);
		CHECK(SUT(mallctl)(name, NULL, NULL, NULL, 0) == 0);
	}
}

/* The child has the blocks, their guard pages, and one thread. */
static void fork_once(uint64_t *random) {
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		alarm(60);
		for (size_t i = 0; i < 500; i++)
			step(random);
		for (size_t i = 0; i < PLACES; i++)
			SUT(free)(atomic_exchange(&place[i], NULL));
		_exit(0);
	}
	int status = 0;
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(void) {
	pthread_t thread[THREADS];
	seed = test_seed();
	uint64_t random = seed;
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, live, (void *)(uintptr_t)(i + 1)) == 0);
	for (size_t i = 0; i < FORKS; i++) {
		fork_once(&random);
		use_manual_arena(&random);
		(void)SUT(malloc_trim)(0);
	}
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	for (size_t i = 0; i < PLACES; i++)
		SUT(free)(place[i]);
	return 0;
}
