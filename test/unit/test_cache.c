/* Caches on made-up memory: what a bin may hold, by rule and by number, and that it never holds more; what is counted;
 * when the fast lane ends; what passes between two caches. */
// ctest-timeout: 60
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fake_os.h"
#include "cache/cache.h"
#include "cache/transfer.h"

#define BLOCKS 20000

static struct arena *arena;
static struct cache cache;
static void *block[BLOCKS];

static struct cache_settings settings(void) {
	return (struct cache_settings){.enabled = true, .max_class = CLASS_LAST, .budget = 64 * MIB};
}

static void begin(const struct cache_settings *wanted) {
	cache_start(wanted);
	cache_init(&cache, arena, true);
}

static unsigned held(unsigned class) {
	return (unsigned)(cache.depth[class].top - cache.bin[class].head);
}

/* Takes many and gives them back, in turn; returns the most the bin ever held. */
static unsigned most_held(unsigned class, unsigned count) {
	unsigned most = 0;
	for (unsigned round = 0; round < 40; round++) {
		for (unsigned i = 0; i < count; i++)
			assert_non_null(block[i] = cache_take(&cache, class, arena));
		for (unsigned i = 0; i < count; i++) {
			cache_give(&cache, class, block[i]);
			if (cache.depth[class].top != NULL && held(class) > most)
				most = held(class);
		}
		cache_audit(&cache);
	}
	return most;
}

static void end(void) {
	cache_flush(&cache, true);
	for (unsigned class = 1; class <= CLASS_LAST; class ++)
		assert_null(cache.depth[class].top);
	assert_int_equal(cache.capacity, 0);
	assert_int_equal(cache_bytes(&cache), 0);
	cache_audit(&cache);
}

static unsigned by_rule(struct cache_rule rule, unsigned class) {
	struct cache_settings wanted = settings();
	rule.set = true;
	wanted.rule = rule;
	begin(&wanted);
	return cache_most(&cache, class);
}

static void rule_of_slots(void **state) {
	(void)state;
	const struct cache_rule usual = {.lg_slabs = 1, .least = 20, .most = 200, .large = 20};
	for (unsigned class = 1; class <= CLASS_SMALL_LAST; class ++) {
		size_t twice = 2u * class_info[class].regions;
		assert_int_equal(by_rule(usual, class), size_max(20, size_min(twice, 200)));
	}
	assert_int_equal(by_rule(usual, CLASS_LAST), 20);
	assert_int_equal(
		by_rule((struct cache_rule){.lg_slabs = -16, .least = 7, .most = 200, .large = 3}, 1), 8);
	assert_int_equal(by_rule((struct cache_rule){.lg_slabs = 16, .least = 1, .most = 99, .large = 3}, 1),
	                 98);
	assert_int_equal(by_rule((struct cache_rule){.lg_slabs = 0, .least = 100, .most = 10, .large = 3}, 1),
	                 10);
	assert_int_equal(by_rule((struct cache_rule){.lg_slabs = 0, .least = 1, .most = 1, .large = 1}, 1),
	                 2);
	assert_int_equal(
		by_rule((struct cache_rule){.lg_slabs = 0, .least = 1, .most = 8, .large = 3}, CLASS_LAST),
		3);
}

static void never_more_than_most(void **state) {
	(void)state;
	static const unsigned bounds[] = {0, 1, 2, 3, 64, 1000, 8191, 65535};
	for (size_t i = 0; i < COUNT_OF(bounds); i++) {
		struct cache_settings wanted = settings();
		begin(&wanted);
		uint16_t most[CLASS_COUNT];
		for (unsigned class = 0; class < CLASS_COUNT; class ++)
			most[class] = (uint16_t)bounds[i];
		cache_set_most(&cache, most);
		unsigned bound = (unsigned)size_min(bounds[i], 8191);
		assert_int_equal(cache_most(&cache, 5), bound);
		unsigned peak = most_held(5, bound + bound / 2 + 8);
		assert_true(peak <= bound);
		assert_true(peak >= size_min(bound, 60)); /* and it makes use of what it may */
		end();
	}
}

static void classes_above_the_largest_pass(void **state) {
	(void)state;
	struct cache_settings wanted = settings();
	wanted.max_class = 7;
	begin(&wanted);
	assert_true(most_held(7, 100) > 0);
	assert_int_equal(most_held(8, 100), 0);
	cache_set_max(&cache, 8);
	assert_true(most_held(8, 100) > 0);
	cache_enable(&cache, false);
	assert_int_equal(cache_bytes(&cache), 0);
	assert_int_equal(most_held(7, 100), 0);
	assert_false(cache_enabled(&cache));
	cache_enable(&cache, true);
	assert_true(most_held(8, 100) > 0);
	assert_int_equal(cache_most(&cache, 9), 0);
	end();
}

/* Frees into a full bin until it flushes; returns what is left of it. */
static unsigned left_after_flush(unsigned class) {
	(void)most_held(class, 5000);
	for (unsigned i = 0; i < 5000; i++)
		assert_non_null(block[i] = cache_take(&cache, class, arena));
	unsigned before = 0, i = 0, left = 0;
	for (; i < 5000; i++) {
		before = held(class);
		cache_give(&cache, class, block[i]);
		if (held(class) <= before && before > 0) {
			left = held(class) - 1;
			break;
		}
	}
	for (i++; i < 5000; i++)
		cache_give(&cache, class, block[i]);
	return before - left;
}

static void flushes_are_bounded(void **state) {
	(void)state;
	for (unsigned lg = 1; lg <= 4; lg++) {
		struct cache_settings wanted = settings();
		wanted.lg_flush_small = lg;
		wanted.rule = (struct cache_rule){.set = true, .least = 64, .most = 64, .large = 64};
		begin(&wanted);
		unsigned flushed = left_after_flush(5);
		assert_true(flushed >= 1 && flushed <= 64u >> lg);
		end();
	}
}

/* Bytes allocated and freed follow from what is there, whatever was flushed, closed or tied elsewhere meanwhile. */
static void counts(void **state) {
	(void)state;
	uint64_t random = test_seed(), allocated = 0, freed = 0;
	struct cache_settings wanted = settings();
	begin(&wanted);
	unsigned live[CLASS_COUNT] = {0};
	static void *mine[CLASS_COUNT][64];
	for (unsigned step = 0; step < 200000; step++) {
		unsigned class = 1 + (unsigned)test_below(&random, CLASS_LAST);
		if (live[class] < 64 && test_below(&random, 2) == 0) {
			assert_non_null(mine[class][live[class]++] = cache_take(&cache, class, arena));
			allocated += class_info[class].bytes;
		} else if (live[class] > 0) {
			cache_give(&cache, class, mine[class][--live[class]]);
			freed += class_info[class].bytes;
		}
		if (step % 1000 == 0)
			cache_flush(&cache, step % 2000 == 0);
		if (step % 1700 == 0)
			cache_enable(&cache, !cache_enabled(&cache));
		if (step % 300 == 0) {
			cache_set_pace(test_below(&random, 2) == 0);
			cache_keep_pace(&cache);
		}
		if (step % 900 == 0)
			cache_move(&cache, arena_make((unsigned)test_below(&random, 2)),
			           test_below(&random, 2) == 0);
		assert_int_equal(cache_allocated(&cache), allocated);
		assert_int_equal(cache_freed(&cache), freed);
	}
	for (unsigned class = 1; class <= CLASS_LAST; class ++)
		while (live[class] > 0)
			cache_give(&cache, class, mine[class][--live[class]]);
	end();
	arena_audit_all();
}

/* A block as the fast lane takes it; true if it had to visit. */
static bool pop(unsigned class, void **out) {
	struct cache_bin *bin = &cache.bin[class];
	if (LOW16(bin->head) == bin->empty || --bin->left < 0) {
		assert_non_null(*out = cache_take(&cache, class, arena));
		return true;
	}
	*out = *bin->head++;
	return false;
}

/* Pairs until the next visit; what was served is exact all the while. */
static unsigned until_visit(unsigned class, uint64_t *served) {
	unsigned pairs = 0;
	for (bool visit = false; !visit; pairs++) {
		void *taken;
		visit = pop(class, &taken);
		assert_int_equal(cache_served(&cache, class), ++*served);
		*--cache.bin[class].head = taken; /* as the fast lane puts it back */
	}
	return pairs;
}

static void comes_at_the_pace(void **state) {
	(void)state;
	const unsigned class = 5;
	uint64_t served = 0;
	struct cache_settings wanted = settings();
	begin(&wanted);
	cache_set_pace(false);
	(void)until_visit(class, &served);
	cache.patience = CACHE_PATIENCE;
	assert_int_equal(until_visit(class, &served), CACHE_GRANT);
	assert_true(cache.patience <= 0);
	cache_keep_pace(&cache); /* nothing to cut */
	assert_int_equal(cache.bin[class].left, CACHE_GRANT - 1);
	cache_set_pace(true);
	cache_keep_pace(&cache);
	assert_int_equal(cache_served(&cache, class), served);
	assert_true(until_visit(class, &served) <= CACHE_UNIT);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(until_visit(class, &served), CACHE_UNIT);
	cache_set_pace(false);
	(void)until_visit(class, &served);
	assert_int_equal(until_visit(class, &served), CACHE_GRANT);
	end();
}

/* Grants are counted in 32 bits, requests in 64. */
static void grants_do_not_overflow(void **state) {
	(void)state;
	const unsigned class = 5;
	void *taken;
	struct cache_settings wanted = settings();
	begin(&wanted);
	cache_set_pace(true);
	(void)pop(class, &taken);
	cache.depth[class].grants = UINT32_MAX / 2;
	uint64_t before = cache_allocated(&cache);
	cache_give(&cache, class, taken);
	for (unsigned i = 1; i <= 3 * CACHE_UNIT; i++) {
		(void)pop(class, &taken);
		*--cache.bin[class].head = taken;
		assert_int_equal(cache_allocated(&cache), before + i * (uint64_t)class_info[class].bytes);
	}
	assert_true(cache.depth[class].grants < 10);
	cache_set_pace(false);
	end();
}

/* -- between threads ------------------------------------------------------------------------------------------- */

static struct cache other;

static void begin_two(void) {
	struct cache_settings wanted = settings();
	begin(&wanted);
	cache_init(&other, arena, true);
	cache_note_threads(2);
}

static void end_two(void) {
	cache_flush(&other, true);
	end();
	transfer_drain(true);
	cache_note_threads(1);
	assert_int_equal(transfer_bytes(), 0);
}

static uint64_t taken_from_slabs(unsigned class) {
	return arena_read_own_class(arena, class).filled;
}

static void take_and_pass(unsigned class, unsigned count) {
	for (unsigned i = 0; i < count; i++)
		assert_non_null(block[i] = cache_take(&cache, class, arena));
	for (unsigned i = 0; i < count; i++)
		cache_give(&other, class, block[i]);
}

/* One only takes, the other only gives: the same blocks go round in batches, and nothing stays when nobody takes. */
static void large_blocks_travel(void **state) {
	(void)state;
	const unsigned class = size_class(1024);
	begin_two();
	take_and_pass(class, 100);
	take_and_pass(class, 100);
	uint64_t before = taken_from_slabs(class);
	for (unsigned round = 0; round < 10; round++)
		take_and_pass(class, 100);
	assert_in_range(taken_from_slabs(class) - before, 0, 100);
	assert_in_range(other.depth[class].depth, 8, 16);
	assert_in_range(cache.depth[class].depth, 8, 16);
	take_and_pass(class, 2000);
	assert_int_equal(other.depth[class].depth, 0);
	assert_in_range(transfer_bytes(), 1, 256 * KIB);
	cache_audit(&other);
	end_two();
}

static void *take_give(struct cache *whose, size_t size) {
	void *taken = cache_take(whose, size_class(size), arena);
	assert_non_null(taken);
	cache_give(whose, size_class(size), taken);
	return taken;
}

/* What a thread that ends had is there for the next, but not what may share a cache line. */
static void ends_leave_blocks(void **state) {
	(void)state;
	begin_two();
	void *left = take_give(&other, 256);
	(void)take_give(&other, 64);
	uint64_t large = taken_from_slabs(size_class(256)), small = taken_from_slabs(size_class(64));
	size_t had = cache_bytes(&other);
	cache_bequeath(&other);
	assert_int_equal(transfer_bytes(), 256);
	assert_int_equal(cache_bytes(&other), had - 256);
	assert_int_equal(cache_allocated(&other), cache_freed(&other));
	cache_flush(&other, true);
	assert_ptr_equal(take_give(&cache, 256), left);
	(void)take_give(&cache, 64);
	assert_int_equal(taken_from_slabs(size_class(256)), large);
	assert_int_equal(taken_from_slabs(size_class(64)), small + 1);
	end_two();
}

static uintptr_t line_of_bin(const struct cache *whose, size_t size) {
	return (uintptr_t)whose->depth[size_class(size)].top / CACHE_LINE;
}

/* Slots of two caches share no cache line, and a record that is used again brings its own. */
static void slots_are_alone(void **state) {
	(void)state;
	static const size_t sizes[] = {16, 64, 256, 1024, 4096, 2048};
	uintptr_t lines[COUNT_OF(sizes)];
	begin_two();
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		(void)take_give(&cache, sizes[i]);
		(void)take_give(&other, sizes[i]);
	}
	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		for (size_t j = 0; j < COUNT_OF(sizes); j++)
			assert_true(line_of_bin(&cache, sizes[i]) != line_of_bin(&other, sizes[j]));
	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		lines[i] = line_of_bin(&other, sizes[i]);
	cache_flush(&other, true);
	cache_init(&other, arena, true);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		bool had = false;
		(void)take_give(&other, sizes[i]);
		for (size_t j = 0; j < COUNT_OF(sizes); j++)
			had |= line_of_bin(&other, sizes[i]) == lines[j];
		assert_true(had);
	}
	end_two();
}

/* Visits to the full lane of a round in which `count` blocks are taken and given back, after many such rounds. */
static unsigned visits_of_round(unsigned class, unsigned count) {
	(void)most_held(class, count);
	unsigned visits = 0;
	for (unsigned i = 0; i < count; i++) {
		visits += cache.bin[class].head == cache.depth[class].top;
		assert_non_null(block[i] = cache_take(&cache, class, arena));
	}
	for (unsigned i = 0; i < count; i++) {
		visits += held(class) == cache.depth[class].depth;
		cache_give(&cache, class, block[i]);
	}
	return visits;
}

/* Batches that fit into a bin come to rest there, however near to its depth they are; those that do not are moved in few
 * steps, and only in part. */
static void batches_come_to_rest(void **state) {
	(void)state;
	const struct cache_settings wanted = settings();
	const unsigned class = 37, most = 2 * MIB / class_info[37].bytes;
	begin(&wanted);
	for (unsigned count = most / 2; count <= most - most / 8; count += 3)
		assert_int_equal(visits_of_round(class, count), 0);
	unsigned visits = visits_of_round(class, 2 * most);
	assert_true(visits > 0 && visits < 20);
	assert_true(held(class) > most / 4);
	end();
}

static int start(void **state) {
	(void)state;
	const struct arena_settings made_up = {
		.limit = 2, .decay_ms = {10000, 0}, .hint = FAKE_BASE + 3 * GIB / 2};
	arena_prepare(&made_up);
	arena = arena_make(0);
	return arena != NULL ? 0 : -1;
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_of_slots),
		cmocka_unit_test(never_more_than_most),
		cmocka_unit_test(flushes_are_bounded),
		cmocka_unit_test(classes_above_the_largest_pass),
		cmocka_unit_test(counts),
		cmocka_unit_test(comes_at_the_pace),
		cmocka_unit_test(grants_do_not_overflow),
		cmocka_unit_test(large_blocks_travel),
		cmocka_unit_test(ends_leave_blocks),
		cmocka_unit_test(slots_are_alone),
		cmocka_unit_test(batches_come_to_rest),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
