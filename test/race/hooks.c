// ctest-timeout: 120
/*
 * hooks.c - an arena whose extent hooks are exchanged while threads allocate from it, over memory of a file: what a thread
 * wrote it finds again, whichever table gave or takes the memory. The hooks allocate themselves, and one table refuses
 * every now and then.
 */
// ctest-also: MALLOC_CONF=percpu_cache:true
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "../harness.h"
#include "ashlar/extent_hooks.h"

int SUT(mallctl)(const char *name, void *old, size_t *old_size, void *new_value, size_t new_size);
void *SUT(mallocx)(size_t size, int flags);
void SUT(dallocx)(void *ptr, int flags);

#define NO_CACHE  0x100
#define ARENA(i)  (((int)(i) + 1) << 20)
#define FILE_SIZE ((size_t)256 << 20)
enum { THREADS = 3, BLOCKS = 64, EXCHANGES = 200 };

static unsigned arena;
static char *file_memory;
static _Atomic(size_t) file_used;
static _Atomic(unsigned) calls;
static _Atomic(bool) over;

/* -- memory of a file: handed out once, and never taken back ------------------------------------------------------ */

static void *file_alloc(extent_hooks_t *hooks, void *at, size_t size, size_t align, bool *zero, bool *commit,
                        unsigned index) {
	(void)hooks;
	CHECK(index == arena && size % 4096 == 0);
	free(malloc(100 + calls++ % 1000));
	if (at != NULL)
		return NULL;
	size_t start = file_used, begin;
	do {
		uintptr_t from = (uintptr_t)file_memory + start;
		begin = ((from + align - 1) & ~(align - 1)) - (uintptr_t)file_memory;
		if (begin + size > FILE_SIZE)
			return NULL;
	} while (!atomic_compare_exchange_weak(&file_used, &start, begin + size));
	*zero = *commit = true;
	return file_memory + begin;
}

static bool keep(extent_hooks_t *hooks, void *addr, size_t size, bool committed, unsigned index) {
	(void)hooks;
	(void)addr;
	(void)size;
	(void)committed;
	CHECK(index == arena);
	free(malloc(100 + calls++ % 1000));
	return true;
}

static bool sometimes(extent_hooks_t *hooks, void *addr, size_t size, size_t size_a, size_t size_b,
                      bool committed, unsigned index) {
	(void)hooks;
	(void)addr;
	(void)committed;
	CHECK(index == arena && size_a + size_b == size);
	return calls++ % 3 == 0;
}

static extent_hooks_t of_file = {.alloc = file_alloc, .dalloc = keep};
static extent_hooks_t refusing = {.alloc = file_alloc, .dalloc = keep, .split = sometimes};

/* -- at work ----------------------------------------------------------------------------------------------------- */

static void *work(void *argument) {
	uint64_t seed = (uint64_t)(uintptr_t)argument;
	unsigned char *block[BLOCKS] = {NULL};
	size_t size[BLOCKS] = {0};
	while (!over) {
		size_t i = test_below(&seed, BLOCKS);
		if (block[i] != NULL) {
			CHECK(test_holds(block[i], size[i], size[i], i + size[i]));
			SUT(dallocx)(block[i], NO_CACHE);
		}
		size[i] = 1 + test_below(&seed, test_below(&seed, 8) == 0 ? 5u << 20 : 30000);
		block[i] = SUT(mallocx)(size[i], ARENA(arena) | NO_CACHE);
		if (block[i] != NULL)
			test_fill(block[i], size[i], i + size[i]);
	}
	for (size_t i = 0; i < BLOCKS; i++) {
		CHECK(block[i] == NULL || test_holds(block[i], size[i], size[i], i + size[i]));
		SUT(dallocx)(block[i], NO_CACHE);
	}
	return NULL;
}

static void call(const char *what) {
	char name[64];
	snprintf(name, sizeof name, "arena.%u.%s", arena, what);
	CHECK(SUT(mallctl)(name, NULL, NULL, NULL, 0) == 0);
}

static void exchange(extent_hooks_t *hooks) {
	char name[64];
	extent_hooks_t *before;
	size_t size = sizeof before;
	snprintf(name, sizeof name, "arena.%u.extent_hooks", arena);
	CHECK(SUT(mallctl)(name, &before, &size, &hooks, sizeof hooks) == 0 && before != NULL);
}

int main(void) {
	FILE *file = tmpfile();
	size_t size = sizeof arena;
	extent_hooks_t *hooks = &of_file;
	uint64_t seed = test_seed(), epoch = 1;
	CHECK(file != NULL && ftruncate(fileno(file), (off_t)FILE_SIZE) == 0);
	file_memory = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
	CHECK(file_memory != MAP_FAILED);
	arena = 0;
	CHECK(SUT(mallctl)("arenas.narenas", &arena, &size, NULL, 0) == 0); /* the index that comes next */
	unsigned made;
	CHECK(SUT(mallctl)("arenas.create", &made, &size, &hooks, sizeof hooks) == 0 && made == arena);
	pthread_t ids[THREADS];
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&ids[i], NULL, work, (void *)(uintptr_t)test_random(&seed)) == 0);
	for (size_t i = 0; i < test_scaled(EXCHANGES); i++) {
		exchange(i % 2 == 0 ? &refusing : &of_file);
		call(i % 3 == 0 ? "purge" : "decay");
		CHECK(SUT(mallctl)("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
		usleep(1000);
	}
	over = true;
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(ids[i], NULL) == 0);
	CHECK(calls > 0 && file_used > 0);
	call("destroy");
	return 0;
}
