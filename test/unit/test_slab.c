/* Bins and arenas on made-up memory: who has which block, what is counted, and what misuse is seen. */
// ctest-timeout: 120
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "fake_os.h"
#include "arena/arena.h"
#include "arena/inside.h"
#include "thread/event.h"

#define STEPS  12000
#define LIVE   40000
#define ARENAS 3
#define MOST   300 /* blocks in one call */

static uint64_t seed;

/* -- the model: live blocks by class, and a bit for each 8 bytes at which one begins -- */

static struct {
	void *block[LIVE];
	unsigned count;
} live[CLASS_COUNT];
static uint8_t begins[FAKE_SIZE / 64];

static bool flip_begin(const void *ptr) {
	size_t index = ((uintptr_t)ptr - FAKE_BASE) / 8;
	uint8_t bit = (uint8_t)(1u << index % 8);
	begins[index / 8] ^= bit;
	return (begins[index / 8] & bit) != 0;
}

static void check_block(const void *ptr, unsigned class, const struct arena *from) {
	const struct class_info *info = &class_info[class];
	const struct span *span = map_span(ptr);
	assert_non_null(span);
	assert_int_equal(map_class(ptr), class);
	assert_int_equal(span->class, class);
	assert_ptr_equal(span->arena, from);
	assert_int_equal(span->kind, class <= CLASS_SMALL_LAST ? SPAN_SLAB : SPAN_LARGE);
	assert_int_equal(((uintptr_t)ptr - span->base) % info->bytes, 0); /* so two blocks cannot overlap */
	assert_true((uintptr_t)ptr + info->bytes <= span->base + span->pages * PAGE);
	assert_int_equal(span->pages, info->slab_pages);
	size_t align = size_min(info->bytes & -(size_t)info->bytes, PAGE);
	assert_int_equal((uintptr_t)ptr % align, 0);
}

static unsigned fill(struct arena *from, unsigned class, unsigned want) {
	void *slots[MOST];
	if (want > LIVE - live[class].count)
		want = LIVE - live[class].count;
	unsigned got = arena_fill(from, class, slots, want);
	assert_true(got <= want);
	for (unsigned i = 0; i < got; i++) {
		check_block(slots[i], class, from);
		assert_true(flip_begin(slots[i])); /* nobody else's */
		if (i > 0 && map_span(slots[i]) == map_span(slots[i - 1]))
			assert_true(slots[i] > slots[i - 1]);
		live[class].block[live[class].count++] = slots[i];
	}
	return got;
}

static void flush(unsigned class, unsigned want) {
	void *slots[MOST];
	unsigned count = 0;
	for (; count < want && live[class].count > 0; count++) {
		unsigned i = (unsigned)random_below(&seed, live[class].count);
		slots[count] = live[class].block[i];
		live[class].block[i] = live[class].block[--live[class].count];
		assert_false(flip_begin(slots[count]));
	}
	arena_flush(class, slots, count);
}

static void flush_all(void) {
	for (unsigned class = 1; class <= CLASS_LAST; class ++)
		while (live[class].count > 0)
			flush(class, MOST);
}

static void check_counts(void) {
	size_t small = 0, large = 0, slab_bytes = 0;
	for (unsigned class = 1; class <= CLASS_LAST; class ++) {
		struct class_stats stats = arena_read_class(class);
		size_t bytes = (size_t)live[class].count * class_info[class].bytes;
		assert_int_equal(stats.filled - stats.flushed, live[class].count);
		*(class <= CLASS_SMALL_LAST ? &small : &large) += bytes;
		slab_bytes += stats.slabs * class_info[class].slab_pages * PAGE;
		if (live[class].count == 0)
			assert_int_equal(stats.slabs, 0);
	}
	struct arena_stats stats = arena_read_stats();
	assert_int_equal(stats.small, small);
	assert_int_equal(stats.large, large);
	assert_int_equal(stats.slab_bytes + stats.slab_hollow, slab_bytes);
	assert_int_equal(stats.active + stats.slab_hollow, slab_bytes + large);
	assert_int_equal(stats.mapped, fake.mapped * PAGE);
	assert_true(stats.active + stats.dirty + stats.muzzy + stats.retained >= stats.mapped);
	for (unsigned i = 0; i < arena_count(); i++)
		arena_audit(arena_at(i));
}

static void test_random_steps(void **state) {
	(void)state;
	for (size_t i = 0; i < test_scaled(STEPS); i++) {
		bool filling = (i / 1000) % 2 == 0;
		unsigned class = 1 + (unsigned)random_below(&seed, CLASS_LAST);
		unsigned want = 1 + (unsigned)random_below(&seed, random_below(&seed, 4) ? 40 : MOST);
		struct arena *from = arena_at((unsigned)random_below(&seed, ARENAS));
		fake.fail_map = random_below(&seed, 50) == 0;
		if (random_below(&seed, 10) < (filling ? 6u : 3u)) {
			unsigned got = fill(from, class, want);
			assert_true(got > 0 || fake.fail_map || live[class].count == LIVE ||
			            fake.mapped > FAKE_PAGES / 2);
		} else {
			flush(class, want);
		}
		fake.now += random_below(&seed, 100000000);
		if (i % 100 == 0) {
			arena_decay_all(fake.now, random_below(&seed, 4) == 0);
			check_counts();
		}
	}
	fake.fail_map = false;
	flush_all();
	check_counts();
}

/* The largest class with at least 16 blocks to a slab. */
static unsigned class_with_regions(void) {
	unsigned class = CLASS_SMALL_LAST;
	while (class_info[class].regions < 16)
		class --;
	return class;
}

/* Slabs are filled up in the order of how full they are, and slabs that empty go back at once. */
static void test_fullest_first(void **state) {
	(void)state;
	const unsigned class = class_with_regions(), regions = class_info[class].regions;
	struct arena *arena = arena_at(0);
	static void *slots[4][512], *again[512];
	struct span *slab[4];
	for (unsigned s = 0; s < 4; s++) {
		assert_int_equal(arena_fill(arena, class, slots[s], regions), regions);
		slab[s] = map_span(slots[s][0]);
		assert_ptr_equal(map_span(slots[s][regions - 1]), slab[s]);
	}
	const unsigned freed[4] = {regions - 1, regions / 8, regions * 5 / 8, regions * 3 / 8};
	for (unsigned s = 0; s < 4; s++)
		arena_flush(class, slots[s], freed[s]);
	assert_int_equal(arena_read_class(class).slabs, 4);
	static const unsigned order[4] = {1, 3, 2, 0};
	for (unsigned i = 0; i < 4; i++) {
		unsigned s = order[i];
		assert_int_equal(arena_fill(arena, class, again, freed[s]), freed[s]);
		for (unsigned k = 0; k < freed[s]; k++)
			assert_ptr_equal(again[k], (char *)slab[s]->base + k * class_info[class].bytes);
		memcpy(slots[s], again, freed[s] * sizeof again[0]);
	}
	arena_audit(arena);
	for (unsigned s = 0; s < 4; s++) {
		uintptr_t base = slab[s]->base;
		arena_flush(class, slots[s], regions);
		assert_int_equal(arena_read_class(class).slabs, 3 - s);
		assert_null(map_span((void *)base));
	}
	check_counts();
}

/* One flush with blocks of all arenas mixed: each goes home. */
static void test_mixed_arenas(void **state) {
	(void)state;
	const unsigned class = 5;
	uint64_t before[ARENAS];
	for (unsigned a = 0; a < ARENAS; a++) {
		before[a] = arena_read_own_class(arena_at(a), class).flushed;
		assert_int_equal(fill(arena_at(a), class, 100), 100);
	}
	flush(class, 3 * 100); /* in random order */
	for (unsigned a = 0; a < ARENAS; a++) {
		assert_int_equal(arena_read_own_class(arena_at(a), class).flushed, before[a] + 100);
		assert_int_equal(arena_read_own_class(arena_at(a), class).slabs, 0);
	}
	check_counts();
}

/* Refused memory: what could be had is given, the rest is not. */
static void test_no_memory(void **state) {
	(void)state;
	struct arena *arena = arena_at(1);
	fake.fail_map = true;
	for (unsigned class = 36; class <= CLASS_LAST; class ++)
		while (fill(arena, class, MOST) == MOST)
			continue;
	assert_int_equal(fill(arena, 36, 10), 0);
	assert_null(arena_take_large(arena, 100 * MIB, PAGE));
	check_counts();
	fake.fail_map = false;
	assert_int_equal(fill(arena, 36, 10), 10);
	flush_all();
	check_counts();
}

static void test_large(void **state) {
	(void)state;
	struct arena *arena = arena_at(2);
	size_t before = arena_read_stats().large;
	struct span *span = arena_take_large(arena, 1, 8);
	assert_int_equal(span->pages * PAGE, LARGE_MIN);
	assert_int_equal(map_class((void *)span->base), CLASS_SMALL_LAST + 1);
	assert_int_equal(arena_read_stats().large, before + LARGE_MIN);
	assert_true(arena_resize_large(span, 20000));
	assert_int_equal(map_class((void *)span->base), CLASS_SMALL_LAST + 2);
	assert_int_equal(arena_read_stats().large, before + 20480);
	if (arena_resize_large(span, 33000)) {
		assert_int_equal(map_class((void *)span->base), CLASS_NONE);
		assert_int_equal(arena_read_stats().large, before + 36864);
	}
	assert_true(arena_resize_large(span, 5)); /* never below the smallest */
	assert_int_equal(span->pages * PAGE, LARGE_MIN);
	uint64_t taken = arena->large[0].taken;
	assert_false(arena_resize_large(span, SIZE_LIMIT));
	assert_int_equal(arena->large[0].taken, taken); /* a refusal is no request */
	assert_ptr_equal(map_span((void *)span->base), span);
	assert_int_equal(map_class((void *)span->base), CLASS_SMALL_LAST + 1);
	uintptr_t base = span->base;
	arena_give_large(span);
	assert_null(map_span((void *)base));
	assert_int_equal(arena_read_stats().large, before);
	span = arena_take_large(arena, 5 * MIB + 1, 4 * MIB);
	assert_int_equal(span->base % (4 * MIB), 0);
	assert_int_equal(map_class((void *)span->base), CLASS_NONE);
	assert_int_equal(arena_read_stats().large, before + 5 * MIB + PAGE);
	arena_give_large(span);
	assert_null(arena_take_large(arena, SIZE_LIMIT, PAGE));
	check_counts();
}

/* -- arenas -- */

static void test_assign(void **state) {
	(void)state;
	struct arena *got[8];
	assert_int_equal(arena_made(), 1);
	for (unsigned i = 0; i < ARENAS; i++) {
		got[i] = arena_assign();
		assert_int_equal(got[i]->index, i); /* a new one while all have a thread */
		assert_ptr_equal(arena_at(i), got[i]);
	}
	assert_int_equal(arena_made(), ARENAS);
	for (unsigned i = 0; i < ARENAS; i++)
		got[ARENAS + i] = arena_assign();
	assert_int_equal(arena_made(), ARENAS);
	for (unsigned i = 0; i < ARENAS; i++)
		assert_int_equal(arena_at(i)->threads, 2);
	arena_leave(got[1]);
	assert_ptr_equal(arena_assign(), got[1]); /* the least used */
	assert_int_equal(arena_read_stats().threads, 2 * ARENAS);
	for (unsigned i = 0; i < 2 * ARENAS; i++)
		arena_leave(got[i]);
	assert_int_equal(arena_read_stats().threads, 0);
	assert_ptr_equal(arena_assign(), arena_at(0));
	arena_leave(arena_at(0));
	assert_null(arena_at(ARENAS));
	assert_null(arena_at(ARENA_LIMIT));
}

/* -- misuse: each in a child, whose exit status tells what was reported -- */

static const void *suspect;

static void report(enum misuse what, const char *call, const void *pointer) {
	_exit(pointer == suspect && strcmp(call, "free") == 0 ? 10 + (int)what : 9);
}

static int reported_by(void (*body)(void)) {
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		const struct rlimit none = {0, 0};
		(void)setrlimit(RLIMIT_CORE, &none);
		event_hooks.misuse = report;
		body();
		_exit(0);
	}
	int status = 0;
	CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
	return WEXITSTATUS(status) >= 10 ? WEXITSTATUS(status) - 10 : -1 - WEXITSTATUS(status);
}

enum { SMALL_CLASS = 11, LARGE_CLASS = 39 };

static void twice_in_one_flush(void) {
	void *slots[10];
	CHECK(arena_fill(arena_at(0), SMALL_CLASS, slots, 9) == 9);
	slots[9] = slots[4];
	suspect = slots[4];
	arena_flush(SMALL_CLASS, slots, 10);
}
static void twice_in_two_flushes(void) {
	void *slots[10], *again;
	CHECK(arena_fill(arena_at(0), SMALL_CLASS, slots, 10) == 10);
	suspect = again = slots[3];
	arena_flush(SMALL_CLASS, slots, 8);
	arena_flush(SMALL_CLASS, &again, 1);
}
static void twice_as_slab_empties(void) {
	void *slots[2];
	CHECK(arena_fill(arena_at(0), SMALL_CLASS, slots, 1) == 1);
	suspect = slots[1] = slots[0];
	arena_flush(SMALL_CLASS, slots, 2);
}
static void twice_after_slab_went(void) {
	void *block, *again;
	CHECK(arena_fill(arena_at(0), SMALL_CLASS, &block, 1) == 1);
	suspect = again = block;
	arena_flush(SMALL_CLASS, &block, 1);
	arena_flush(SMALL_CLASS, &again, 1);
}
static void interior(void) {
	void *slots[2];
	CHECK(arena_fill(arena_at(0), SMALL_CLASS, slots, 2) == 2);
	suspect = slots[1] = (char *)slots[1] + 16;
	arena_flush(SMALL_CLASS, slots, 2);
}
static void interior_by_one(void) {
	void *slots[1];
	CHECK(arena_fill(arena_at(0), SMALL_CLASS, slots, 1) == 1);
	suspect = slots[0] = (char *)slots[0] + class_info[SMALL_CLASS].bytes - 1;
	arena_flush(SMALL_CLASS, slots, 1);
}
static void large_twice(void) {
	void *block, *again;
	CHECK(arena_fill(arena_at(0), LARGE_CLASS, &block, 1) == 1);
	suspect = again = block;
	arena_flush(LARGE_CLASS, &block, 1);
	arena_flush(LARGE_CLASS, &again, 1);
}
static void large_interior(void) {
	void *block;
	CHECK(arena_fill(arena_at(0), LARGE_CLASS, &block, 1) == 1);
	suspect = block = (char *)block + 64;
	arena_flush(LARGE_CLASS, &block, 1);
}
static void nothing_wrong(void) {
	void *slots[20];
	CHECK(arena_fill(arena_at(0), SMALL_CLASS, slots, 20) == 20);
	arena_flush(SMALL_CLASS, slots, 20);
}

static void test_misuse(void **state) {
	(void)state;
	assert_int_equal(reported_by(nothing_wrong), -1);
	assert_int_equal(reported_by(twice_in_one_flush), MISUSE_DOUBLE);
	assert_int_equal(reported_by(twice_in_two_flushes), MISUSE_DOUBLE);
	assert_int_equal(reported_by(twice_as_slab_empties), MISUSE_DOUBLE);
	assert_int_equal(reported_by(twice_after_slab_went), MISUSE_DOUBLE);
	assert_int_equal(reported_by(interior), MISUSE_INTERIOR);
	assert_int_equal(reported_by(interior_by_one), MISUSE_INTERIOR);
	assert_int_equal(reported_by(large_twice), MISUSE_DOUBLE);
	assert_int_equal(reported_by(large_interior), MISUSE_INTERIOR);
}

static int start(void **state) {
	(void)state;
	const struct arena_settings settings = {
		.limit = ARENAS, .decay_ms = {10000, 0}, .hint = FAKE_BASE + 3 * GIB / 2};
	arena_prepare(&settings);
	return arena_make_first() ? 0 : -1;
}

/* -- pages of slabs that hold no block -- */

enum { HOLLOW_BLOCKS = 1000 };
static const unsigned hollow_class[] = {9, 21, 24, 29, 36};

/* Each page of the chunks: whose it is. */
static void own_pages(void) {
	memset(fake.owner, 0, sizeof fake.owner);
	for (unsigned class = 1; class <= CLASS_SMALL_LAST; class ++)
		for (unsigned i = 0; i < live[class].count; i++) {
			uintptr_t at = (uintptr_t)live[class].block[i], end = at + class_info[class].bytes;
			for (at = round_down(at, PAGE); at < end; at += PAGE)
				fake.owner[fake_index(at)] = 1;
		}
}

static void fill_hollow(void) {
	for (unsigned c = 0; c < COUNT_OF(hollow_class); c++) {
		while (live[hollow_class[c]].count < HOLLOW_BLOCKS)
			fill(arena_at(0), hollow_class[c], 100);
		for (unsigned i = 0; i < HOLLOW_BLOCKS; i++) {
			const struct span *slab = map_span(live[hollow_class[c]].block[i]);
			fake_write(slab->base, slab->pages);
		}
	}
}

/* Pages of slabs that are resident, or could be, and hold nothing. */
static size_t count_waste(void) {
	size_t waste = 0;
	own_pages();
	for (size_t i = 0; i < FAKE_PAGES; i++) {
		const struct span *slab = map_span((void *)(FAKE_BASE + i * PAGE));
		waste += slab != NULL && slab->kind == SPAN_SLAB && fake.owner[i] == 0 &&
		         (fake.page[i] & FAKE_WRITTEN) != 0;
	}
	return waste;
}

/* What is idle for a round goes, and no page with a block (the fake sees to that); what is used stays. */
static void test_hollow(void **state) {
	(void)state;
	uint64_t round = (uint64_t)10000 * 1000000 / 2 + 1;
	fill_hollow();
	for (unsigned c = 0; c < COUNT_OF(hollow_class); c++)
		for (unsigned i = 0; i < HOLLOW_BLOCKS * 9 / 10; i += MOST)
			flush(hollow_class[c], MOST);
	size_t waste = count_waste();
	assert_true(waste > 1000);
	fake.now += round;
	arena_hollow(arena_at(0), fake.now, false); /* sees them */
	arena_hollow(arena_at(0), fake.now + 1, false);
	assert_int_equal(count_waste(), waste);
	unsigned used = hollow_class[3];
	for (unsigned i = 0; i < 20; i++)
		flush(used, 1);
	size_t kept = 0;
	for (unsigned i = 0; i < live[used].count; i++)
		kept += map_span(live[used].block[i])->seen == 0;
	fake.now += round;
	arena_hollow(arena_at(0), fake.now, false);
	size_t left = count_waste();
	assert_true(left < waste / 4 && (left > 0 || kept == 0));
	assert_true(load_relaxed(&arena_at(0)->hollow) > waste / 2);
	check_counts();
	fake.now += 2 * round;
	arena_hollow(arena_at(0), fake.now, false);
	fake.now += 2 * round;
	arena_hollow(arena_at(0), fake.now, false);
	assert_int_equal(count_waste(), 0);
	fill_hollow(); /* into the same slabs */
	assert_int_equal(load_relaxed(&arena_at(0)->hollow), 0);
	memset(fake.owner, 0, sizeof fake.owner);
	flush_all();
	check_counts();
}

/* `all` waits for nothing; a refused purge leaves the pages as they were; a time of -1 leaves all. */
static void test_hollow_all(void **state) {
	(void)state;
	fill_hollow();
	for (unsigned c = 0; c < COUNT_OF(hollow_class); c++)
		for (unsigned i = 0; i < HOLLOW_BLOCKS * 9 / 10; i += MOST)
			flush(hollow_class[c], MOST);
	page_set_decay(&arena_at(0)->pages, PAGE_DIRTY, DECAY_NEVER, fake.now);
	for (unsigned i = 0; i < 4; i++) {
		fake.now += (uint64_t)1000000 * 1000000;
		arena_hollow(arena_at(0), fake.now, false);
	}
	size_t waste = count_waste();
	assert_true(waste > 1000);
	page_set_decay(&arena_at(0)->pages, PAGE_DIRTY, 10000, fake.now);
	fake.fail_purge = true;
	arena_hollow(arena_at(0), fake.now, true);
	fake.fail_purge = false;
	assert_int_equal(count_waste(), waste);
	assert_int_equal(load_relaxed(&arena_at(0)->hollow), 0);
	memset(fake.advised, 0, sizeof fake.advised);
	os.thp = OS_THP_ALWAYS;
	arena_hollow(arena_at(0), fake.now, true);
	os.thp = OS_THP_UNKNOWN;
	assert_true(fake.advised[0] > 0); /* what went does not come back in a huge page */
	assert_int_equal(count_waste(), 0);
	assert_int_equal(load_relaxed(&arena_at(0)->hollow), waste);
	memset(fake.owner, 0, sizeof fake.owner);
	flush_all();
	assert_int_equal(load_relaxed(&arena_at(0)->hollow), 0);
	check_counts();
}

static void take_meanwhile(void) {
	fill(arena_at(0), hollow_class[1], 10);
	own_pages();
}

/* Who takes blocks of a slab while its pages are purged gets none that touches them, and all others. */
static void test_hollow_meanwhile(void **state) {
	(void)state;
	unsigned class = hollow_class[1];
	fill_hollow();
	for (unsigned i = 0; i < HOLLOW_BLOCKS * 9 / 10; i += MOST)
		flush(class, MOST);
	fake.meanwhile = take_meanwhile;
	arena_hollow(arena_at(0), fake.now, true);
	fake.meanwhile = NULL;
	check_counts();
	memset(fake.owner, 0, sizeof fake.owner);
	fill_hollow();
	flush_all();
	assert_int_equal(load_relaxed(&arena_at(0)->hollow), 0);
	check_counts();
}

/* The number of a round is a byte: what was used just before it begins anew is not idle. */
static void test_hollow_rounds(void **state) {
	(void)state;
	struct arena *arena = arena_at(0);
	unsigned class = hollow_class[1];
	uint64_t round = (uint64_t)10000 * 1000000 / 2 + 1;
	fill_hollow();
	for (unsigned last = arena->sweep.round;; last = arena->sweep.round) {
		fake.now += round;
		arena_hollow(arena, fake.now, false);
		if (arena->sweep.round < last)
			fail();
		if (arena->sweep.round == UINT8_MAX)
			break;
	}
	for (unsigned i = 0; i < HOLLOW_BLOCKS * 9 / 10; i += MOST)
		flush(class, MOST);
	size_t waste = count_waste();
	assert_true(waste > 100);
	fake.now += round;
	arena_hollow(arena, fake.now, false);
	assert_int_equal(arena->sweep.round, 1);
	assert_int_equal(count_waste(), waste);
	fake.now += round;
	arena_hollow(arena, fake.now, false);
	assert_int_equal(count_waste(), 0);
	memset(fake.owner, 0, sizeof fake.owner);
	flush_all();
}

/* The common pool keeps pages as long as the arena that keeps them longest. */
static void test_pool_time(void **state) {
	(void)state;
	for (unsigned set = 0; set <= ARENAS; set++) {
		struct pool *pool = arena_pool();
		assert_int_equal(load_relaxed(&pool->decay.ms), 10000);
		struct span *span = page_take(&arena_at(0)->pages, SPAN_LARGE, 10 * CHUNK_PAGES, PAGE);
		assert_non_null(span);
		page_give(&arena_at(0)->pages, span);
		assert_true(pool_read_stats(pool).dirty >= 10 * CHUNK);
		for (unsigned i = 0; i < set; i++)
			arena_set_decay(arena_at(i), PAGE_DIRTY, 0, fake.now);
		arena_decay_all(fake.now, false);
		assert_int_equal(pool_read_stats(pool).dirty == 0, set == ARENAS);
		arena_set_decay(arena_at(0), PAGE_DIRTY, DECAY_NEVER, fake.now);
		assert_int_equal(load_relaxed(&pool->decay.ms), DECAY_NEVER);
		for (unsigned i = 0; i < ARENAS; i++)
			arena_set_decay(arena_at(i), PAGE_DIRTY, 10000, fake.now);
		arena_decay_all(fake.now, true);
	}
}

int main(void) {
	seed = test_seed();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_assign),           cmocka_unit_test(test_random_steps),
		cmocka_unit_test(test_fullest_first),    cmocka_unit_test(test_mixed_arenas),
		cmocka_unit_test(test_no_memory),        cmocka_unit_test(test_large),
		cmocka_unit_test(test_hollow),           cmocka_unit_test(test_hollow_all),
		cmocka_unit_test(test_hollow_meanwhile), cmocka_unit_test(test_hollow_rounds),
		cmocka_unit_test(test_pool_time),        cmocka_unit_test(test_misuse),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
