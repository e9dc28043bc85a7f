/*
 * Threads work with explicit caches of their own, which they make and destroy, while another one makes, resets and
 * destroys arenas: no block of those ever gets into these caches, so nothing of the one is the other's business.
 */
// ctest-also: MALLOC_CONF=percpu_cache:true
#define _GNU_SOURCE
#include "../harness.h"

#include <pthread.h>
#include <stdatomic.h>

int SUT(mallctl)(const char *name, void *old, size_t *old_size, void *new, size_t new_size);
void *SUT(mallocx)(size_t size, int flags);
void SUT(dallocx)(void *ptr, int flags);

enum { THREADS = 3, MOST = 1000, ARENAS = 400 };

static atomic_bool done;

static unsigned make(const char *name) {
	unsigned number;
	size_t size = sizeof number;
	CHECK(SUT(mallctl)(name, &number, &size, NULL, 0) == 0);
	return number;
}

static void fill_and_empty(unsigned cache, size_t size, unsigned count) {
	static __thread void *block[MOST];
	const int flags = (int)(cache + 2) << 8;
	for (unsigned i = 0; i < count; i++)
		CHECK((block[i] = SUT(mallocx)(size, flags)) != NULL);
	for (unsigned i = 0; i < count; i++)
		memset(block[i], (int)i, size);
	for (unsigned i = 0; i < count; i++)
		SUT(dallocx)(block[i], flags);
}

static void *work(void *argument) {
	while (!atomic_load(&done)) {
		unsigned cache = make("tcache.create");
		for (size_t size = 16; size <= 4096; size *= 4)
			fill_and_empty(cache, size, size < 1000 ? MOST : 100);
		CHECK(SUT(mallctl)("tcache.destroy", NULL, NULL, &cache, sizeof cache) == 0);
	}
	return argument;
}

static void use_arena(void) {
	unsigned arena = make("arenas.create");
	char reset[64], destroy[64];
	(void)snprintf(reset, sizeof reset, "arena.%u.reset", arena);
	(void)snprintf(destroy, sizeof destroy, "arena.%u.destroy", arena);
	for (int i = 0; i < 10; i++) {
		CHECK(SUT(mallocx)(100, (int)((arena + 1) << 20 | 1 << 8)) != NULL); /* in no cache */
		CHECK(SUT(mallctl)(reset, NULL, NULL, NULL, 0) == 0);
	}
	CHECK(SUT(mallctl)(destroy, NULL, NULL, NULL, 0) == 0);
}

int main(void) {
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
	for (size_t i = 0; i < test_scaled(ARENAS); i++)
		use_arena();
	atomic_store(&done, true);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	return 0;
}
