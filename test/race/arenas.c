/* Arenas are made, filled, reset and destroyed by some threads, each its own, while others allocate from the automatic
 * ones, read and refresh figures, purge, and fork is not far: nothing is lost, no block changes its contents. */
// ctest: MALLOC_CONF=narenas:3,dirty_decay_ms:20,muzzy_decay_ms:20
// ctest-timeout: 300
#define _GNU_SOURCE
#include <jemalloc/jemalloc.h>

#include "../harness.h"

#include <pthread.h>
#include <stdatomic.h>

enum { MAKERS = 3, USERS = 3, ROUNDS = 150, BLOCKS = 200 };

static uint64_t seed;
static _Atomic(bool) done;
static _Atomic(unsigned) current[MAKERS];

static int act(unsigned index, const char *leaf) {
	char name[64];
	snprintf(name, sizeof name, "arena.%u.%s", index, leaf);
	return SUT(mallctl)(name, NULL, NULL, NULL, 0);
}

static void fill(char *block, size_t size, unsigned tag) {
	memset(block, (int)tag, size < 256 ? size : 256);
	block[size - 1] = (char)tag;
}

static void check(const char *block, size_t size, unsigned tag) {
	CHECK(block[0] == (char)tag && block[size / 2 < 256 ? size / 2 : 0] == (char)tag);
	CHECK(block[size - 1] == (char)tag);
}

/* A block that was filled, and what is known of it. */
struct note {
	char *block;
	size_t size;
	unsigned tag;
};

static void use_arena(unsigned index, uint64_t *random) {
	struct note note[BLOCKS] = {{0}};
	int flags = MALLOCX_ARENA(index) | MALLOCX_TCACHE_NONE;
	for (unsigned i = 0; i < 2 * BLOCKS; i++) {
		struct note *n = &note[test_below(random, BLOCKS)];
		if (n->block != NULL) {
			check(n->block, n->size, n->tag);
			SUT(dallocx)(n->block, MALLOCX_TCACHE_NONE);
		}
		n->size = 1 + test_below(random, i % 20 == 0 ? 300000 : 3000);
		n->tag = (unsigned)test_below(random, 128);
		n->block = SUT(mallocx)(n->size, flags);
		CHECK(n->block != NULL);
		fill(n->block, n->size, n->tag);
	}
	for (unsigned i = 0; i < BLOCKS; i++)
		if (note[i].block != NULL)
			check(note[i].block, note[i].size, note[i].tag);
}

static void *maker(void *argument) {
	size_t self = (size_t)(uintptr_t)argument;
	uint64_t random = seed + self;
	for (size_t round = 0; round < test_scaled(ROUNDS) + 5; round++) {
		unsigned index;
		size_t size = sizeof index;
		CHECK(SUT(mallctl)("arenas.create", &index, &size, NULL, 0) == 0);
		atomic_store(&current[self], index);
		for (unsigned i = 0; i < 3; i++) {
			use_arena(index, &random);
			CHECK(act(index, i == 1 ? "purge" : "reset") == 0);
		}
		use_arena(index, &random);
		CHECK(act(index, "destroy") == 0);
	}
	return NULL;
}

static void *user(void *argument) {
	uint64_t random = seed + 100 + (size_t)(uintptr_t)argument;
	struct note note[BLOCKS] = {{0}};
	while (!atomic_load(&done)) {
		struct note *n = &note[test_below(&random, BLOCKS)];
		if (n->block != NULL) {
			check(n->block, n->size, n->tag);
			free(n->block);
		}
		n->size = 1 + test_below(&random, test_below(&random, 50) == 0 ? 300000 : 3000);
		n->tag = (unsigned)test_below(&random, 128);
		n->block = malloc(n->size);
		CHECK(n->block != NULL);
		fill(n->block, n->size, n->tag);
	}
	for (unsigned i = 0; i < BLOCKS; i++)
		free(note[i].block);
	return NULL;
}

/* Looks at arenas that may be going away at this moment. */
static void *reader(void *argument) {
	(void)argument;
	uint64_t random = seed + 1000, epoch = 1;
	static const char *const leaves[] = {"pactive", "nthreads", "small.allocated", "bins.3.curregs",
	                                     "pdirty"};
	while (!atomic_load(&done)) {
		char name[64];
		uint64_t value = 0;
		size_t size = sizeof value;
		unsigned index = atomic_load(&current[test_below(&random, MAKERS)]);
		snprintf(name, sizeof name, "stats.arenas.%u.%s", index, leaves[test_below(&random, 5)]);
		int error = SUT(mallctl)(name, &value, &size, NULL, 0);
		CHECK(error == 0 || error == ENOENT || error == EINVAL); /* nthreads is shorter */
		CHECK(SUT(mallctl)("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
		(void)act(4096, test_below(&random, 2) ? "decay" : "purge");
		char buffer[32], *to = buffer;
		size = sizeof to;
		snprintf(name, sizeof name, "arena.%u.name", index);
		(void)SUT(mallctl)(name, &to, &size, NULL, 0);
	}
	return NULL;
}

int main(void) {
	seed = test_seed();
	pthread_t threads[MAKERS + USERS + 1];
	for (size_t i = 0; i < MAKERS + USERS + 1; i++)
		CHECK(pthread_create(&threads[i], NULL,
		                     i < MAKERS           ? maker
		                     : i < MAKERS + USERS ? user
		                                          : reader,
		                     (void *)(uintptr_t)i) == 0);
	for (size_t i = 0; i < MAKERS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	atomic_store(&done, true);
	for (size_t i = MAKERS; i < MAKERS + USERS + 1; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	unsigned narenas;
	size_t size = sizeof narenas;
	CHECK(SUT(mallctl)("arenas.narenas", &narenas, &size, NULL, 0) == 0);
	CHECK(narenas <= 4 + MAKERS);
	return 0;
}
