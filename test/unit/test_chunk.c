/* One chunk's bookkeeping against an array with a letter per page, on a made-up address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fake_os.h"

#define STEPS 20000

enum { USED = 'u', CLEAN = '.', DIRTY = 'd', MUZZY = 'm' };

static uint64_t seed;
static struct chunk chunk;
static char page[CHUNK_PAGES];

static void reset(void) {
	chunk_init(&chunk, NULL, FAKE_BASE);
	memset(page, CLEAN, sizeof page);
}

static enum page_state state_of(char letter) {
	return letter == DIRTY ? PAGE_DIRTY : letter == MUZZY ? PAGE_MUZZY : PAGE_CLEAN;
}

static void check_same(void) {
	unsigned count[256] = {0};
	for (unsigned i = 0; i < CHUNK_PAGES; i++) {
		assert_int_equal(bitmap_get(chunk.free, i), page[i] != USED);
		if (page[i] != USED) {
			assert_int_equal(bitmap_get(chunk.unclean[PAGE_DIRTY], i), page[i] == DIRTY);
			assert_int_equal(bitmap_get(chunk.unclean[PAGE_MUZZY], i), page[i] == MUZZY);
		}
		count[(unsigned char)page[i]]++;
	}
	assert_int_equal(chunk.nfree, CHUNK_PAGES - count[USED]);
	assert_int_equal(chunk.count[PAGE_DIRTY], count[DIRTY]);
	assert_int_equal(chunk.count[PAGE_MUZZY], count[MUZZY]);
	chunk_audit(&chunk);
}

/* Length of the free run of [first, ...); with `unclean`, of free pages that were written. */
static unsigned run_at(unsigned first, bool unclean) {
	unsigned i = first;
	while (i < CHUNK_PAGES && page[i] != USED && !(unclean && page[i] == CLEAN))
		i++;
	return i - first;
}

/* First aligned place with `count` such pages; CHUNK_PAGES when there is none. */
static unsigned first_fit(unsigned count, unsigned align, bool unclean) {
	for (unsigned i = 0; i + count <= CHUNK_PAGES; i += align)
		if (run_at(i, unclean) >= count)
			return i;
	return CHUNK_PAGES;
}

static unsigned longest_run(void) {
	unsigned best = 0;
	for (unsigned i = 0; i < CHUNK_PAGES; i++)
		best = run_at(i, false) > best ? run_at(i, false) : best;
	return best;
}

static void step_take(void) {
	unsigned count = 1 + (unsigned)random_below(&seed, random_below(&seed, 8) == 0 ? CHUNK_PAGES : 24);
	unsigned align = random_below(&seed, 2) ? 1 : 1u << random_below(&seed, 10), first = 0;
	unsigned expected = first_fit(count, align, true);
	if (expected == CHUNK_PAGES)
		expected = first_fit(count, align, false);
	bool taken = chunk_take(&chunk, count, align, &first);
	assert_int_equal(taken, expected != CHUNK_PAGES);
	if (!taken) {
		assert_int_equal(chunk.longest, longest_run());
		return;
	}
	assert_int_equal(first, expected);
	bool clean = true;
	for (unsigned i = first; i < first + count; i++)
		clean = clean && page[i] == CLEAN;
	assert_int_equal(chunk_is_clean(&chunk, first, count), clean);
	memset(page + first, USED, count);
}

static void step_take_at(void) {
	unsigned first = (unsigned)random_below(&seed, CHUNK_PAGES),
		 count = 1 + (unsigned)random_below(&seed, 40);
	bool expected = first + count <= CHUNK_PAGES && run_at(first, false) >= count;
	assert_int_equal(chunk_take_at(&chunk, first, count), expected);
	if (expected)
		memset(page + first, USED, count);
}

static void step_give(void) {
	static const char letters[] = {DIRTY, DIRTY, MUZZY, CLEAN};
	unsigned first = (unsigned)random_below(&seed, CHUNK_PAGES), count = 0;
	unsigned most = 1 + (unsigned)random_below(&seed, 60);
	while (first < CHUNK_PAGES && page[first] != USED)
		first++;
	while (first + count < CHUNK_PAGES && page[first + count] == USED && count < most)
		count++;
	if (count == 0)
		return;
	char letter = letters[random_below(&seed, 4)];
	chunk_give(&chunk, first, count, state_of(letter));
	memset(page + first, letter, count);
}

/* A unit can be purged when all of it is free and some of it is in the state. */
static bool is_victim(unsigned first, unsigned unit, char letter) {
	return run_at(first, false) >= unit && memchr(page + first, letter, unit) != NULL;
}

static void step_purge(unsigned unit) {
	uint64_t victims[CHUNK_WORDS];
	char letter = random_below(&seed, 2) ? DIRTY : MUZZY, to = random_below(&seed, 3) ? CLEAN : MUZZY;
	unsigned most = (unsigned)random_below(&seed, random_below(&seed, 4) == 0 ? CHUNK_PAGES + 1 : 20),
		 left = most;
	unsigned got = chunk_take_victims(&chunk, state_of(letter), most, unit, victims), picked = 0;
	for (unsigned first = CHUNK_PAGES - unit;; first -= unit) {
		bool expected = left > 0 && is_victim(first, unit, letter);
		unsigned of_state = 0;
		for (unsigned i = first; i < first + unit; i++) {
			assert_int_equal(bitmap_get(victims, i), expected);
			of_state += page[i] == letter;
			if (expected)
				page[i] = USED;
		}
		if (expected) {
			picked += of_state;
			left -= of_state < left ? of_state : left;
		}
		if (first == 0)
			break;
	}
	assert_int_equal(got, picked);
	check_same();
	chunk_give_victims(&chunk, victims, state_of(to));
	for (unsigned i = 0; i < CHUNK_PAGES; i++)
		if (bitmap_get(victims, i))
			page[i] = to;
}

static void run_steps(unsigned unit) {
	reset();
	for (size_t i = 0; i < test_scaled(STEPS); i++) {
		/* favour taking for a while, then giving, so that full and empty chunks are seen */
		bool filling = (i / 500) % 2 == 0;
		uint64_t dice = random_below(&seed, 10);
		if (dice == 0)
			step_purge(unit);
		else if (dice == 1)
			step_take_at();
		else if (dice < (filling ? 7u : 4u))
			step_take();
		else
			step_give();
		check_same();
	}
}

static void test_steps_4k(void **state) {
	(void)state;
	run_steps(1);
}
static void test_steps_16k(void **state) {
	(void)state;
	run_steps(4);
}
static void test_steps_64k(void **state) {
	(void)state;
	run_steps(16);
}

static void test_edges(void **state) {
	(void)state;
	unsigned first = 7;
	reset();
	assert_true(chunk_take(&chunk, CHUNK_PAGES, CHUNK_PAGES / 2, &first));
	assert_int_equal(first, 0);
	assert_int_equal(chunk.nfree, 0);
	assert_int_equal(chunk.longest, 0);
	assert_false(chunk_take(&chunk, 1, 1, &first));
	chunk_give(&chunk, CHUNK_PAGES - 1, 1, PAGE_DIRTY);
	assert_int_equal(chunk.longest, 1);
	assert_false(chunk_take_at(&chunk, CHUNK_PAGES - 1, 2));
	assert_true(chunk_take_at(&chunk, CHUNK_PAGES - 1, 1));
	assert_false(chunk_is_clean(&chunk, 0, CHUNK_PAGES));
	assert_true(chunk_is_clean(&chunk, 0, CHUNK_PAGES - 1));
	chunk_give(&chunk, 0, CHUNK_PAGES, PAGE_CLEAN);
	assert_true(chunk_is_clean(&chunk, 0, CHUNK_PAGES));
	assert_int_equal(chunk.longest, CHUNK_PAGES);
	chunk_audit(&chunk);
}

int main(void) {
	seed = test_seed();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_steps_4k),
		cmocka_unit_test(test_steps_16k),
		cmocka_unit_test(test_steps_64k),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
