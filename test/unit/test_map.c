/* The page map: every address there is has an answer, and the answer is what was entered last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fake_os.h"

#define STEPS 20000
#define SPANS 300

static uint64_t seed;
static uintptr_t home; /* first address to use, as map_open_home chose it */

static void check_unknown(uintptr_t addr) {
	assert_int_equal(map_class((void *)addr), CLASS_NONE);
	assert_null(map_span((void *)addr));
	assert_null(map_chunk(addr));
}

static void test_before_home(void **state) {
	(void)state;
	fake.all_real = true;
	check_unknown(0);
	check_unknown(~(uintptr_t)0);
	fake.fail_in = 1;
	assert_int_equal(map_open_home(), 0);
	assert_true((((uintptr_t)&home) >> PAGE_SHIFT) - map_home.first_page >= HOME_PAGES);
	assert_true(0 - map_home.first_page >= HOME_PAGES);
	/* without a home window leaves hold everything */
	static struct span span = {.base = 0x700000000000 + PAGE, .pages = 3, .class = 5, .kind = SPAN_SLAB};
	assert_true(map_cover(span.base, 3 * PAGE));
	map_enter(&span);
	assert_int_equal(map_class((void *)(span.base + 2 * PAGE)), 5);
	map_remove(&span);
	check_unknown(span.base);
}

static void test_open_home(void **state) {
	(void)state;
	home = map_open_home();
	assert_true(home != 0 && home % CHUNK == 0);
	uintptr_t window = map_home.first_page << PAGE_SHIFT;
	assert_int_equal(window % ((uintptr_t)1 << HOME_SHIFT), 0);
	assert_true(home > window && home + 8 * GIB < window + ((uintptr_t)1 << HOME_SHIFT));
	assert_true((home >> PAGE_SHIFT) - map_home.first_page < HOME_PAGES);
}

static void test_wild_addresses(void **state) {
	(void)state;
	static const uintptr_t wild[] = {0,
	                                 1,
	                                 4096,
	                                 (uintptr_t)1 << 47,
	                                 ((uintptr_t)1 << 48) - 1,
	                                 (uintptr_t)1 << 48,
	                                 ((uintptr_t)1 << 48) + 4096,
	                                 (uintptr_t)1 << 56,
	                                 (uintptr_t)1 << 63,
	                                 ~(uintptr_t)0,
	                                 ~(uintptr_t)4095};
	for (unsigned i = 0; i < COUNT_OF(wild); i++)
		check_unknown(wild[i]);
	for (int i = 0; i < 10000; i++)
		check_unknown(random_next(&seed) | (uintptr_t)1 << 60);
	assert_false(map_cover((uintptr_t)1 << 48, PAGE));
	assert_false(map_cover(((uintptr_t)1 << 48) - PAGE, 2 * PAGE));
}

/* Covers a range over three windows of 4 GiB; when refused half way, what was covered stays usable. */
static void test_cover(void **state) {
	(void)state;
	uintptr_t border = (uintptr_t)0x123 << 32;
	size_t calls = fake.maps;
	fake.fail_in = 2;
	assert_false(map_cover(border - PAGE, 4 * GIB + 2 * PAGE));
	assert_int_equal(fake.maps, calls + 2);
	assert_true(map_cover(border - PAGE, PAGE));
	assert_int_equal(fake.maps, calls + 2);
	assert_true(map_cover(border - PAGE, 4 * GIB + 2 * PAGE));
	assert_int_equal(fake.maps, calls + 4);
	assert_true(map_cover(border - PAGE, 4 * GIB + 2 * PAGE));
	assert_int_equal(fake.maps, calls + 4);
	check_unknown(border - 1);
	check_unknown(border + 4 * GIB);
	static struct span above = {.pages = 4, .class = 7, .kind = SPAN_SLAB};
	static struct span below = {.pages = 4, .class = 9, .kind = SPAN_SLAB};
	above.base = border;
	below.base = border - 4 * PAGE;
	map_enter(&above);
	map_enter(&below);
	assert_ptr_equal(map_span((void *)(border - 1)), &below);
	assert_ptr_equal(map_span((void *)border), &above);
	assert_int_equal(map_class((void *)(border - 1)), 9);
	assert_int_equal(map_class((void *)border), 7);
	map_remove(&below);
	check_unknown(border - 1);
	assert_int_equal(map_class((void *)border), 7);
	map_remove(&above);
	check_unknown(border);
}

static void test_chunks(void **state) {
	(void)state;
	static struct chunk chunk[3];
	uintptr_t at[3] = {home, home + CHUNK, ((uintptr_t)0x124 << 32) - CHUNK};
	for (int i = 0; i < 3; i++) {
		assert_true(map_cover(at[i], CHUNK));
		map_set_chunk(at[i], &chunk[i]);
	}
	for (int i = 0; i < 3; i++) {
		assert_ptr_equal(map_chunk(at[i]), &chunk[i]);
		assert_ptr_equal(map_chunk(at[i] + CHUNK - 1), &chunk[i]);
	}
	assert_null(map_chunk(home - 1));
	assert_null(map_chunk(home + 2 * CHUNK));
	for (int i = 0; i < 3; i++) {
		map_set_chunk(at[i], NULL);
		assert_null(map_chunk(at[i]));
	}
}

/* -- random spans side by side, in the home window and elsewhere -- */

static struct span spans[SPANS];
static uintptr_t place[SPANS]; /* 64 pages each */

static void check_span(const struct span *span, uintptr_t at, bool entered) {
	for (size_t i = 0; i < 64; i++) {
		const void *ptr = (void *)(at + i * PAGE + random_below(&seed, PAGE));
		bool known = entered && i < (span->kind == SPAN_SLAB ? span->pages : 1);
		assert_ptr_equal(map_span(ptr), known ? span : NULL);
		assert_int_equal(map_class(ptr), known ? span->class : CLASS_NONE);
		size_t page = ((uintptr_t)ptr >> PAGE_SHIFT) - map_home.first_page;
		if (page < HOME_PAGES)
			assert_int_equal(map_home.classes[page], known ? span->class : CLASS_NONE);
	}
}

static void enter_random(struct span *span, uintptr_t at) {
	*span = (struct span){.base = at, .pages = 1 + random_below(&seed, 64)};
	span->kind = random_below(&seed, 2) ? SPAN_SLAB : SPAN_LARGE;
	span->class = 1 + (uint32_t)random_below(&seed, CLASS_LAST);
	if (span->kind == SPAN_LARGE && random_below(&seed, 2))
		span->class = CLASS_NONE;
	map_enter(span);
}

static void test_random_spans(void **state) {
	(void)state;
	static bool entered[SPANS];
	uintptr_t outside = ((uintptr_t)0x456 << 32) - SPANS / 4 * 64 * PAGE; /* across a border */
	for (unsigned i = 0; i < SPANS; i++) {
		place[i] = (i % 2 ? home : outside) + (i / 2) * 64 * PAGE;
		assert_true(map_cover(place[i], 64 * PAGE));
	}
	for (size_t i = 0; i < test_scaled(STEPS); i++) {
		unsigned n = (unsigned)random_below(&seed, SPANS),
			 other = (unsigned)random_below(&seed, SPANS);
		if (entered[n])
			map_remove(&spans[n]);
		else
			enter_random(&spans[n], place[n]);
		entered[n] = !entered[n];
		check_span(&spans[n], place[n], entered[n]);
		check_span(&spans[other], place[other], entered[other]);
	}
	for (unsigned i = 0; i < SPANS; i++) {
		check_span(&spans[i], place[i], entered[i]);
		if (entered[i])
			map_remove(&spans[i]);
		check_span(&spans[i], place[i], false);
	}
}

int main(void) {
	seed = test_seed();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_before_home),    cmocka_unit_test(test_open_home),
		cmocka_unit_test(test_wild_addresses), cmocka_unit_test(test_cover),
		cmocka_unit_test(test_chunks),         cmocka_unit_test(test_random_spans),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
