// ctest-timeout: 120
/* arena_cycles.c - arenas that come and go: memory of those that went serves the next ones; functions of the program's that ask
 * for statistics while pages go back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "harness.h"
#include "ashlar/extent_hooks.h"
#include "ctl.h"

#define CYCLES 200
#define SIZE   ((size_t)3 << 20)

static size_t mapped(void) {
	uint64_t epoch = 1;
	assert_int_equal(CTL_SET(uint64_t, "epoch", epoch), 0);
	return CTL_GET(size_t, "stats.mapped");
}

static unsigned create(extent_hooks_t *hooks) {
	unsigned index;
	size_t size = sizeof index;
	assert_int_equal(ctl("arenas.create", &index, &size, hooks == NULL ? NULL : &hooks,
	                     hooks == NULL ? 0 : sizeof hooks),
	                 0);
	return index;
}

static void act(unsigned index, const char *what) {
	char name[64];
	snprintf(name, sizeof name, "arena.%u.%s", index, what);
	assert_int_equal(ctl(name, NULL, NULL, NULL, 0), 0);
}

static void memory_is_inherited(void **state) {
	(void)state;
	size_t before = 0;
	for (int i = 0; i < CYCLES; i++) {
		unsigned index = create(NULL);
		char *block = t_mallocx(SIZE, FLAG_ARENA(index) | FLAG_TCACHE_NONE);
		assert_non_null(block);
		memset(block, i, SIZE);
		act(index, "destroy");
		if (i == 10)
			before = mapped();
	}
	assert_in_range(mapped(), 0, before + 2 * SIZE);
}

/* -- statistics from inside ------------------------------------------------------------------------------------- */

static unsigned purges;

static bool ask_and_purge(extent_hooks_t *hooks, void *addr, size_t size, size_t offset, size_t length,
                          unsigned arena) {
	(void)hooks;
	(void)size;
	(void)arena;
	purges++;
	(void)mapped();
	free(malloc(1000));
	return madvise((char *)addr + offset, length, MADV_DONTNEED) != 0;
}

static bool keep(extent_hooks_t *hooks, void *addr, size_t size, bool committed, unsigned arena) {
	(void)hooks;
	(void)addr;
	(void)size;
	(void)committed;
	(void)arena;
	(void)mapped();
	return true;
}

static void statistics_inside_hooks(void **state) {
	(void)state;
	static extent_hooks_t own;
	own = **(extent_hooks_t *[]){CTL_GET(extent_hooks_t *, "arena.0.extent_hooks")};
	own.dalloc = keep;
	own.purge_forced = ask_and_purge;
	unsigned index = create(&own);
	for (size_t size = 100; size < 2 * SIZE; size *= 8) {
		void *block = t_mallocx(size, FLAG_ARENA(index) | FLAG_TCACHE_NONE);
		assert_non_null(block);
		memset(block, 1, size);
		t_dallocx(block, FLAG_TCACHE_NONE);
		act(index, "purge");
	}
	assert_true(purges > 0);
	act(index, "destroy");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_inherited),
		cmocka_unit_test(statistics_inside_hooks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
