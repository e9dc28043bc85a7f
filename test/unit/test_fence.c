/* Spans between guard pages, on made-up memory that knows which of its pages nobody can touch. */
// ctest-timeout: 200
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fake_os.h"

#define STEPS  20000
#define BLOCKS 200

static uint64_t seed;
static struct pool pool;
static struct pages arena;
static const int64_t decay_ms[PAGE_STATES] = {10000, 0};
static struct span *held[BLOCKS];

static void fence(size_t slabs, size_t larges) {
	page_prepare(&(struct page_settings){
		.dss = PAGE_DSS_SECONDARY, .fence_slabs = slabs, .fence_larges = larges});
}

static bool closed(uintptr_t addr, size_t size) {
	for (size_t i = fake_index(addr); i < fake_index(addr) + size / PAGE; i++)
		if (!(fake.page[i] & FAKE_CLOSED))
			return false;
	return true;
}

/* Guard pages lie at both ends and nowhere inside. */
static void check_span(const struct span *span) {
	uintptr_t end = span->base + span->pages * PAGE;
	for (size_t i = 0; i < span->pages; i++)
		assert_false(closed(span->base + i * PAGE, PAGE));
	if (!span->fenced)
		return;
	assert_true(span->base % os.page_size == 0);
	assert_true(closed(span->base - os.page_size, os.page_size));
	assert_true(closed(round_up(end, os.page_size), os.page_size));
}

static void own(const struct span *span, uint32_t from, uint32_t to) {
	for (size_t i = fake_index(span->base); i < fake_index(span->base) + span->pages; i++) {
		assert_int_equal(fake.owner[i], from);
		fake.owner[i] = to;
	}
}

static struct span *take(enum span_kind kind, size_t count, size_t align) {
	struct span *span = page_take(&arena, kind, count, align);
	if (span == NULL)
		return NULL;
	assert_int_equal(span->pages, count);
	assert_int_equal(span->base % align, 0);
	check_span(span);
	if (span->zeroed)
		assert_true(fake_reads_zero(span->base, count));
	own(span, 0, 1);
	fake_write(span->base, count);
	return span;
}

static void give(struct span *span) {
	check_span(span);
	own(span, 1, 0);
	page_give(&arena, span);
}

static void purge(void) {
	page_decay(&arena, fake.now, true);
	pool_decay(&pool, fake.now, true);
}

static void check_nothing_left(void) {
	purge();
	assert_int_equal(fake.closed, 0);
	assert_int_equal(page_read_stats(&arena).active, 0);
	assert_int_equal(page_read_stats(&arena).dirty, 0);
	pages_audit(&arena);
	pool_audit(&pool);
}

static void test_every_third(void **state) {
	(void)state;
	fence(0, 3);
	for (unsigned i = 1; i <= 30; i++) {
		held[i] = take(SPAN_LARGE, 5 + i % 7 * 100, PAGE);
		assert_int_equal(held[i]->fenced, i % 3 == 0);
		struct span *slab = take(SPAN_SLAB, 3, PAGE);
		assert_false(slab->fenced);
		give(slab);
	}
	assert_int_equal(fake.closed, 20);
	purge();
	for (unsigned i = 1; i <= 30; i++)
		give(held[i]);
	fence(2, 0);
	for (unsigned i = 1; i <= 30; i++) {
		held[i] = take(SPAN_SLAB, 1 + i, PAGE);
		assert_int_equal(held[i]->fenced, i % 2 == 0);
	}
	for (unsigned i = 1; i <= 30; i++)
		give(held[i]);
	check_nothing_left();
}

/* A fenced span is neither resized nor moved; that of whole chunks begins a page behind a chunk. */
static void test_stays(void **state) {
	(void)state;
	fence(0, 1);
	struct span *one = take(SPAN_LARGE, 100, PAGE), *two = take(SPAN_LARGE, 3 * CHUNK_PAGES, PAGE),
		    *three = take(SPAN_LARGE, 3 * CHUNK_PAGES, PAGE);
	assert_true(one->fenced && two->fenced && three->fenced);
	assert_int_equal(two->base % CHUNK, PAGE);
	assert_true(page_resize(&arena, one, 100));
	assert_false(page_resize(&arena, one, 99));
	assert_false(page_resize(&arena, one, 101));
	assert_false(page_resize(&arena, two, 2 * CHUNK_PAGES));
	assert_false(page_resize(&arena, two, 4 * CHUNK_PAGES));
	assert_false(page_move(two, three, 3 * CHUNK));
	assert_int_equal(fake.moves, 0);
	check_span(one);
	check_span(two);
	give(one);
	give(two);
	give(three);
	check_nothing_left();
}

/* Blocks aligned to more than an OS page have none. */
static void test_alignments(void **state) {
	(void)state;
	fence(1, 1);
	for (size_t align = PAGE; align <= 2 * CHUNK; align *= 2) {
		struct span *span = take(SPAN_LARGE, 20, align);
		assert_int_equal(span->fenced, align <= os.page_size);
		give(span);
	}
	check_nothing_left();
}

/* Mappings are limited: so are fences. */
static void test_limit(void **state) {
	(void)state;
	size_t before = os.max_maps, fenced = 0;
	os.max_maps = 320;
	fence(1, 1);
	for (unsigned i = 0; i < 30; i++) {
		held[i] = take(SPAN_LARGE, 2, PAGE);
		fenced += held[i]->fenced;
		assert_int_equal(held[i]->fenced, i < 10);
	}
	assert_int_equal(fenced, 10);
	give(held[3]);
	held[3] = take(SPAN_LARGE, 2, PAGE);
	assert_true(held[3]->fenced);
	for (unsigned i = 0; i < 30; i++)
		give(held[i]);
	os.max_maps = before;
	check_nothing_left();
}

/* What the system does not open again nobody gets, until it does. */
static void test_not_opened(void **state) {
	(void)state;
	fence(0, 1);
	struct span *span = take(SPAN_LARGE, 50, PAGE);
	uintptr_t base = span->base;
	assert_true(span->fenced);
	fake.fail_open = true;
	give(span);
	assert_int_equal(fake.closed, 2);
	assert_true(fake_reads_zero(base, 50));
	fence(0, 0);
	for (unsigned i = 0; i < BLOCKS; i++)
		held[i] = take(SPAN_LARGE, 48, PAGE);
	for (unsigned i = 0; i < BLOCKS; i++)
		give(held[i]);
	fake.fail_open = false;
	fence(0, 1);
	give(take(SPAN_LARGE, 1, PAGE));
	fence(0, 0);
	check_nothing_left();
}

/* The k-th call is refused, for each k: the span is as good without guard pages. */
static void test_refused(void **state) {
	(void)state;
	fence(0, 1);
	for (uint64_t k = 1; k <= 4; k++) {
		fake.fail_protect_in = k;
		struct span *span = take(SPAN_LARGE, 700, PAGE);
		assert_int_equal(span->fenced, k > 2);
		give(span);
		fake.fail_protect_in = 0;
		give(take(SPAN_LARGE, 1, PAGE)); /* tries again what was refused */
		check_nothing_left();
	}
}

static size_t random_count(void) {
	size_t bound = test_below(&seed, 10) == 0 ? 4 * CHUNK_PAGES : test_below(&seed, 4) == 0 ? 600 : 40;
	return 1 + test_below(&seed, bound);
}

static void step(void) {
	struct span **slot = &held[test_below(&seed, BLOCKS)];
	if (*slot == NULL) {
		enum span_kind kind = test_below(&seed, 2) == 0 ? SPAN_SLAB : SPAN_LARGE;
		size_t count = kind == SPAN_SLAB ? 1 + test_below(&seed, 64) : random_count();
		*slot = take(kind, count, PAGE << (test_below(&seed, 8) == 0 ? test_below(&seed, 8) : 0));
		assert_non_null(*slot);
	} else if (test_below(&seed, 4) == 0 && (*slot)->kind == SPAN_LARGE) {
		struct span *span = *slot;
		size_t count = random_count(), before = span->pages;
		own(span, 1, 0);
		bool fenced = span->fenced, done = page_resize(&arena, span, count);
		assert_int_equal(span->pages, done ? count : before);
		assert_true(!fenced || span->pages == before);
		own(span, 0, 1);
		fake_write(span->base, span->pages);
		check_span(span);
	} else {
		give(*slot);
		*slot = NULL;
	}
	fake.now += test_below(&seed, 100000000);
	if (test_below(&seed, 20) == 0) {
		page_decay(&arena, fake.now, test_below(&seed, 4) == 0);
		pool_decay(&pool, fake.now, false);
	}
	if (test_below(&seed, 10) == 0)
		fake.fail_protect_in = test_below(&seed, 8);
}

static void random_steps(size_t os_page) {
	os.page_size = os_page;
	memset(held, 0, sizeof held);
	fence(2, 3);
	for (size_t i = 0; i < test_scaled(STEPS); i++)
		step();
	fake.fail_protect_in = 0;
	for (size_t i = 0; i < BLOCKS; i++)
		if (held[i] != NULL)
			give(held[i]);
	fence(0, 1);
	for (size_t i = 0; i < STEPS && fake.closed != 0; i++)
		give(take(SPAN_LARGE, 1, PAGE));
	check_nothing_left();
	os.page_size = PAGE;
}

static void test_random_steps(void **state) {
	(void)state;
	random_steps(PAGE);
}
static void test_os_page_16k(void **state) {
	(void)state;
	random_steps(16 * KIB);
}
static void test_os_page_64k(void **state) {
	(void)state;
	random_steps(64 * KIB);
}

static int start(void **state) {
	(void)state;
	base_define(BASE_SPAN, SPAN_SIZE(SPAN_LARGE));
	base_define(BASE_SLAB, SPAN_SIZE(SPAN_SLAB));
	base_define(BASE_CHUNK, sizeof(struct chunk));
	pool_init(&pool, FAKE_BASE + 3 * GIB / 2, decay_ms[PAGE_DIRTY], fake.now);
	pages_init(&arena, &pool, decay_ms, fake.now);
	return 0;
}

int main(void) {
	seed = test_seed();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_third),  cmocka_unit_test(test_stays),
		cmocka_unit_test(test_alignments),   cmocka_unit_test(test_limit),
		cmocka_unit_test(test_not_opened),   cmocka_unit_test(test_refused),
		cmocka_unit_test(test_random_steps), cmocka_unit_test(test_os_page_16k),
		cmocka_unit_test(test_os_page_64k),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
