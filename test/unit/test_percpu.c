/* Caches of CPUs on made-up memory and made-up CPUs: the sequences against a model, what a CPU may hold, what goes when nobody
 * uses it, counts. No kernel disturbs the sequences here; test/race/percpu_cache.c is about that. */
// ctest-timeout: 60
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fake_os.h"
#include "cache/cache.h"
#include "cache/percpu.h"

#define CPUS   3u /* that there are; two share the budget */
#define BUDGET (2 * (size_t)MIB)
#define DEPTH  37u
#define LIVE   64

static void run_on(unsigned cpu) {
	store_relaxed(&fake_rseq.cpu, cpu);
}

#ifdef RSEQ_KNOWN
/* -- the sequences ------------------------------------------------------------------------------------------------ */

static struct rseq_stack *nth(struct rseq_stack *first, unsigned cpu) {
	return (struct rseq_stack *)((char *)first + cpu * RSEQ_SPAN);
}

/* Each call does what it would to plain stacks, on its CPU alone. */
static void stacks_as_a_model(void **state) {
	(void)state;
	uint64_t random = test_seed();
	uintptr_t model[CPUS][DEPTH + 1] = {{0}};
	unsigned count[CPUS] = {0}, end[CPUS] = {0}, pushes = 0, pops = 0;
	void *memory;
	assert_int_equal(os_map(NULL, CPUS * RSEQ_SPAN, &memory), 0);
	struct rseq_stack *first = memory;
	for (unsigned step = 1; step < 300000; step++) {
		unsigned cpu = (unsigned)test_below(&random, CPUS + 2);
		bool there = cpu < CPUS;
		run_on(cpu == CPUS + 1 ? UINT32_MAX : cpu);
		if (there && test_below(&random, 50) == 0) {
			end[cpu] = (unsigned)test_below(&random, 3) == 0 ? 0 : DEPTH;
			store_relaxed(&nth(first, cpu)->end, end[cpu]);
		}
		if (test_below(&random, 2) == 0) {
			bool again = there && count[cpu] > 0 && test_below(&random, 4) == 0;
			uintptr_t block = again ? model[cpu][count[cpu] - 1] : (uintptr_t)step << 12;
			bool fits = there && count[cpu] < end[cpu] && !again;
			assert_int_equal(rseq_push_in(&fake_rseq, first, CPUS, (void *)block), fits);
			if (fits)
				model[cpu][count[cpu]++] = block;
			pushes += fits;
		} else {
			bool some = there && end[cpu] != 0 && count[cpu] > 0;
			uintptr_t block = (uintptr_t)rseq_pop_in(&fake_rseq, first, CPUS);
			assert_int_equal(block, some ? model[cpu][count[cpu] - 1] : 0);
			if (some)
				count[cpu]--;
			pops += some;
		}
		for (unsigned i = 0; i < CPUS; i++) {
			assert_int_equal(load_relaxed(&nth(first, i)->count), count[i]);
			assert_int_equal(load_relaxed(&nth(first, i)->end), end[i]);
		}
	}
	assert_true(pushes > 10000 && pops > 10000);
	for (unsigned i = 0; i < CPUS; i++)
		assert_memory_equal(nth(first, i)->slots, model[i], count[i] * sizeof(void *));
}

/* -- the caches --------------------------------------------------------------------------------------------------- */

static struct arena *arena;
static struct cache cache;
static unsigned live[CLASS_COUNT];
static void *mine[CLASS_COUNT][LIVE];

static void take(unsigned class) {
	void *block = cache_take(&cache, class, cache.arena);
	assert_non_null(block);
	assert_int_equal(map_class(block), class);
	for (unsigned i = 0; i < live[class]; i++)
		assert_ptr_not_equal(mine[class][i], block);
	mine[class][live[class]++] = block;
}

static void give(unsigned class, unsigned i) {
	void *block = mine[class][i];
	mine[class][i] = mine[class][--live[class]];
	assert_false(cache_holds(&cache, class, block, UINT_MAX));
	cache_give(&cache, class, block);
}

static void give_all(void) {
	for (unsigned class = 1; class <= CLASS_LAST; class ++)
		while (live[class] > 0)
			give(class, 0);
}

static void nothing_is_left(void) {
	cache_flush(&cache, true);
	cache_drain_shared(true);
	assert_int_equal(cache_read_percpu().bytes, 0);
	assert_int_equal(cache_read_percpu().cpus, 0);
	for (unsigned class = 1; class <= CLASS_LAST; class ++) {
		struct class_stats stats = arena_read_class(class);
		assert_int_equal(stats.filled, stats.flushed);
	}
	arena_audit_all();
}

static void counts_and_bounds(void **state) {
	(void)state;
	uint64_t random = test_seed(), allocated = 0, freed = 0;
	size_t most = 0;
	cache_init(&cache, arena, true);
	cache_note_threads(2);
	for (unsigned step = 0; step < 400000; step++) {
		unsigned class = 1 + (unsigned)test_below(&random, CLASS_LAST);
		if (test_below(&random, 100) == 0)
			run_on((unsigned)test_below(&random, CPUS + 1));
		if (live[class] < LIVE && test_below(&random, 2) == 0) {
			take(class);
			allocated += class_info[class].bytes;
		} else if (live[class] > 0) {
			give(class, (unsigned)test_below(&random, live[class]));
			freed += class_info[class].bytes;
		}
		if (step % 5000 == 0)
			cache_move(&cache, arena_make((unsigned)test_below(&random, 2)),
			           test_below(&random, 4) != 0);
		if (step % 7000 == 0)
			cache_drain_shared(test_below(&random, 2) == 0);
		if (step % 9000 == 0)
			cache_flush(&cache, false);
		assert_int_equal(cache_allocated(&cache), allocated);
		assert_int_equal(cache_freed(&cache), freed);
		most = size_max(most, cache_read_percpu().bytes);
		if (step % 100 == 0)
			cache_audit(&cache);
	}
	assert_true(most > 0 && most <= BUDGET);
	give_all();
	nothing_is_left();
}

/* The second look finds those that were left alone since the first. */
static void unused_ones_go(void **state) {
	(void)state;
	cache_init(&cache, arena, true);
	for (unsigned cpu = 0; cpu < CPUS; cpu++) {
		run_on(cpu);
		while (live[5] < 20)
			take(5);
		give_all();
	}
	assert_int_equal(cache_read_percpu().cpus, CPUS);
	cache_drain_shared(false);
	size_t before = cache_read_percpu().bytes;
	assert_true(before > 0);
	run_on(0);
	take(5); /* held on, so that the stack differs */
	cache_drain_shared(false);
	assert_int_equal(cache_read_percpu().cpus, 1);
	assert_true(cache_read_percpu().bytes < before);
	cache_drain_shared(false);
	assert_int_equal(cache_read_percpu().cpus, 0);
	assert_int_equal(cache_read_percpu().bytes, 0);
	give_all();
	nothing_is_left();
}

/* Who is not sure to be alone takes nothing. */
static void no_fence_no_drain(void **state) {
	(void)state;
	cache_init(&cache, arena, true);
	run_on(1);
	while (live[7] < 20)
		take(7);
	give_all();
	size_t before = cache_read_percpu().bytes;
	unsigned fences = fake_rseq_fences;
	assert_true(before > 0);
	fake_rseq_refuses = true;
	cache_drain_shared(true);
	assert_true(fake_rseq_fences > fences);
	assert_int_equal(cache_read_percpu().bytes, before);
	take(7); /* it is open again */
	assert_true(cache_read_percpu().bytes < before);
	fake_rseq_refuses = false;
	give_all();
	nothing_is_left();
}

static void memory_is_short(bool is_short) {
	cache_set_short(is_short);
	cache_note_threads(1);
}

static void use_large(unsigned cpu) {
	run_on(cpu);
	for (unsigned round = 0; round < 40; round++) {
		for (unsigned class = 20; class <= CLASS_LAST; class ++)
			while (live[class] < LIVE)
				take(class);
		give_all();
	}
}

/* What is beyond the smaller share goes, used or not. */
static void less_while_memory_is_short(void **state) {
	(void)state;
	cache_init(&cache, arena, true);
	use_large(0);
	assert_in_range(cache_read_percpu().bytes, MIB / 4 + 1, BUDGET / 2);
	for (unsigned cpu = 1; cpu < CPUS; cpu++)
		use_large(cpu);
	assert_in_range(cache_read_percpu().bytes, BUDGET / 2 + 1, BUDGET);
	memory_is_short(true);
	take(20);
	cache_drain_shared(false);
	assert_true(cache_read_percpu().bytes <= MIB / 4);
	memory_is_short(false);
	give_all();
	nothing_is_left();
}

static void go_round(unsigned cpu, unsigned class, unsigned count) {
	run_on(cpu);
	for (unsigned round = 0; round < 20; round++) {
		while (live[class] < count)
			take(class);
		give_all();
	}
}

/* A CPU that is beyond its share, and CPUs that are beyond the budget together, though each is within its share. */
static void less_for_each_and_for_all(void **state) {
	(void)state;
	cache_init(&cache, arena, true);
	go_round(0, size_class(5120), 64);
	assert_in_range(cache_read_percpu().bytes, BUDGET / 2 / 4 + 1, BUDGET / 4);
	memory_is_short(true);
	cache_drain_shared(false);
	assert_int_equal(cache_read_percpu().bytes, 0);
	memory_is_short(false);
	cache.most[size_class(4096)] = 60; /* of the smaller share 64 */
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		go_round(cpu, size_class(4096), 50);
	assert_int_equal(cache_read_percpu().cpus, CPUS);
	memory_is_short(true);
	cache_drain_shared(false);
	assert_int_equal(cache_read_percpu().cpus, CPUS - 1);
	memory_is_short(false);
	nothing_is_left();
}

/* One that is freed twice in a row is found, whatever lies between the two calls. */
static void knows_what_it_holds(void **state) {
	(void)state;
	cache_init(&cache, arena, true);
	run_on(0);
	for (unsigned i = 0; i < 10; i++)
		take(3);
	void *block = mine[3][4];
	give(3, 4);
	assert_true(cache_holds(&cache, 3, block, 1));
	give(3, 0);
	assert_false(cache_holds(&cache, 3, block, 1));
	assert_true(cache_holds(&cache, 3, block, 2));
	run_on(CPUS);
	assert_false(cache_holds(&cache, 3, block, 2));
	run_on(0);
	give_all();
	nothing_is_left();
}

static int start(void **state) {
	(void)state;
	const struct arena_settings made_up = {
		.limit = 2, .decay_ms = {10000, 0}, .hint = FAKE_BASE + 3 * GIB / 2};
	const struct cache_settings settings = {
		.enabled = true, .percpu = true, .cpus = 2, .max_class = CLASS_LAST, .budget = BUDGET};
	fake_rseq_cpus = CPUS;
	arena_prepare(&made_up);
	cache_start(&settings);
	arena = arena_make(0);
	return arena != NULL && cache_read_percpu().on ? 0 : -1;
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stacks_as_a_model),
		cmocka_unit_test(counts_and_bounds),
		cmocka_unit_test(unused_ones_go),
		cmocka_unit_test(no_fence_no_drain),
		cmocka_unit_test(less_while_memory_is_short),
		cmocka_unit_test(less_for_each_and_for_all),
		cmocka_unit_test(knows_what_it_holds),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
#else
int main(void) {
	return 77;
}
#endif
