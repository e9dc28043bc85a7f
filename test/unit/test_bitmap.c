/* Bitmaps against an array of bool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "harness.h"
#include "util/util.h"

#define BITS  512u
#define STEPS 20000

static uint64_t seed;
static uint64_t map[BITS / 64 + 2]; /* one word on each side that nobody may touch */
static bool model[BITS];

static uint64_t *const inner = map + 1;

static void reset(void) {
	memset(map, 0, sizeof map);
	memset(model, 0, sizeof model);
	map[0] = map[BITS / 64 + 1] = 0xa5a5a5a5a5a5a5a5u;
}

static void check_same(void) {
	for (unsigned i = 0; i < BITS; i++)
		assert_int_equal(bitmap_get(inner, i), model[i]);
	assert_true(map[0] == 0xa5a5a5a5a5a5a5a5u && map[BITS / 64 + 1] == 0xa5a5a5a5a5a5a5a5u);
}

/* A range anywhere in the map, often short, sometimes empty, sometimes on the edges of words. */
static void pick_range(unsigned *from, unsigned *count) {
	*from = (unsigned)random_below(&seed, BITS + 1);
	if (random_below(&seed, 4) == 0)
		*from &= ~63u;
	*count = (unsigned)random_below(&seed, random_below(&seed, 3) == 0 ? BITS + 1 : 9);
	if (random_below(&seed, 8) == 0)
		*count = 64;
	if (*count > BITS - *from)
		*count = BITS - *from;
}

static void change(void) {
	unsigned from, count;
	pick_range(&from, &count);
	bool value = random_below(&seed, 2) != 0;
	if (value)
		bitmap_set_range(inner, from, count);
	else
		bitmap_clear_range(inner, from, count);
	for (unsigned i = from; i < from + count; i++)
		model[i] = value;
	if (from == BITS)
		return;
	if (random_below(&seed, 2) != 0)
		bitmap_set(inner, from);
	else
		bitmap_clear(inner, from);
	model[from] = bitmap_get(inner, from);
}

static unsigned model_next(unsigned from, bool value) {
	while (from < BITS && model[from] != value)
		from++;
	return from < BITS ? from : BITS;
}

static void check_walks(void) {
	unsigned from, count, sum = 0;
	pick_range(&from, &count);
	for (unsigned i = from; i < from + count; i++)
		sum += model[i];
	assert_int_equal(bitmap_count_range(inner, from, count), sum);
	assert_int_equal(bitmap_next_set(inner, BITS, from), model_next(from, true));
	assert_int_equal(bitmap_next_clear(inner, BITS, from), model_next(from, false));
	unsigned start = from;
	while (start > 0 && model[start - 1])
		start--;
	assert_int_equal(bitmap_run_start(inner, from), start);
}

static unsigned model_find(unsigned count, unsigned align, unsigned *longest) {
	*longest = 0;
	for (unsigned start = model_next(0, true); start < BITS;) {
		unsigned end = model_next(start, false);
		unsigned aligned = (start + align - 1) / align * align;
		if (end - start > *longest)
			*longest = end - start;
		if (aligned < end && end - aligned >= count)
			return aligned;
		start = model_next(end, true);
	}
	return BITMAP_NONE;
}

static void check_find(void) {
	unsigned count = 1 + (unsigned)random_below(&seed, random_below(&seed, 2) != 0   ? 8
	                                                   : random_below(&seed, 2) != 0 ? 65
	                                                                                 : BITS);
	unsigned align = 1u << random_below(&seed, random_below(&seed, 2) != 0 ? 1 : 8);
	unsigned wanted_longest, longest = 12345;
	unsigned wanted = model_find(count, align, &wanted_longest);
	assert_int_equal(bitmap_find_run(inner, BITS, count, align, &longest), wanted);
	if (wanted == BITMAP_NONE) {
		assert_int_equal(longest, wanted_longest);
		assert_int_equal(bitmap_longest_run(inner, BITS), wanted_longest);
	}
	assert_int_equal(bitmap_find_run(inner, BITS, count, align, NULL), wanted);
}

static void test_random_steps(void **state) {
	(void)state;
	reset();
	for (size_t i = 0; i < test_scaled(STEPS); i++) {
		if (random_below(&seed, 500) == 0)
			reset();
		change();
		check_walks();
		check_find();
		if (i % 16 == 0)
			check_same();
	}
	check_same();
}

static void test_edges(void **state) {
	(void)state;
	unsigned longest;
	reset();
	assert_int_equal(bitmap_next_set(inner, BITS, 0), BITS);
	assert_int_equal(bitmap_next_clear(inner, BITS, BITS), BITS);
	assert_int_equal(bitmap_find_run(inner, BITS, 1, 1, &longest), BITMAP_NONE);
	assert_int_equal(longest, 0);
	bitmap_set_range(inner, 0, 0);
	bitmap_set_range(inner, 64, 0);
	bitmap_set_range(inner, BITS, 0);
	check_same();
	bitmap_set_range(inner, 0, BITS);
	assert_int_equal(bitmap_count_range(inner, 0, BITS), BITS);
	assert_int_equal(bitmap_find_run(inner, BITS, BITS, 1, &longest), 0);
	assert_int_equal(bitmap_find_run(inner, BITS, BITS + 1, 1, &longest), BITMAP_NONE);
	assert_int_equal(longest, BITS);
	assert_int_equal(bitmap_run_start(inner, BITS), 0);
	assert_int_equal(bitmap_next_clear(inner, BITS, 0), BITS);
}

int main(void) {
	seed = test_seed();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_random_steps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
