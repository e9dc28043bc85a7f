/* Metadata memory: alignment, reuse, what is counted, and what a refused mapping leaves behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fake_os.h"

#define STEPS   20000
#define RECORDS 600

static uint64_t seed;

static const enum base_kind kinds[] = {BASE_SPAN,  BASE_CHUNK,     BASE_CACHE,
                                       BASE_SLOTS, BASE_SLOTS + 3, BASE_SLOTS + BASE_SLOTS_MAX_LG};

static size_t size_of(enum base_kind kind) {
	switch ((int)kind) {
	case BASE_SPAN:
		return sizeof(struct span);
	case BASE_CHUNK:
		return sizeof(struct chunk);
	case BASE_CACHE:
		return 3000;
	default:
		return (size_t)8 << (kind - BASE_SLOTS);
	}
}

/* Slots never cross a border of a multiple of their size; other records begin with a cache line if they fill one. */
static size_t align_of(enum base_kind kind) {
	size_t align = 8;
	while (align < size_of(kind) && (kind >= BASE_SLOTS || align < CACHE_LINE))
		align *= 2;
	return align;
}

static int define(void **state) {
	(void)state;
	fake.all_real = true;
	base_define(BASE_SPAN, size_of(BASE_SPAN));
	base_define(BASE_CHUNK, size_of(BASE_CHUNK));
	base_define(BASE_CACHE, size_of(BASE_CACHE));
	return 0;
}

static bool is_filled(const unsigned char *record, size_t size, unsigned char with) {
	for (size_t i = 0; i < size; i++)
		if (record[i] != with)
			return false;
	return true;
}

static struct {
	unsigned char *at;
	enum base_kind kind;
	unsigned char fill;
} record[RECORDS];

static void step(size_t i, size_t *live) {
	size_t size = size_of(record[i].kind);
	if (record[i].at != NULL) {
		assert_true(is_filled(record[i].at, size, record[i].fill));
		base_give(record[i].kind, record[i].at);
		*live -= size;
		record[i].at = NULL;
		return;
	}
	bool fresh;
	record[i].kind = kinds[random_below(&seed, COUNT_OF(kinds))];
	size = size_of(record[i].kind);
	struct base_stats before = base_read_stats();
	record[i].at = base_take(record[i].kind, &fresh);
	assert_non_null(record[i].at);
	assert_int_equal((uintptr_t)record[i].at % align_of(record[i].kind), 0);
	assert_true(!fresh || is_filled(record[i].at, size, 0));
	struct base_stats after = base_read_stats();
	assert_true(fresh ? after.idle == before.idle && after.allocated >= before.allocated + size
	                  : after.idle == before.idle - size && after.allocated == before.allocated);
	record[i].fill = (unsigned char)(1 + random_below(&seed, 255));
	memset(record[i].at, record[i].fill, size);
	*live += size;
}

static void test_records(void **state) {
	(void)state;
	size_t live = 0;
	for (size_t i = 0; i < test_scaled(STEPS); i++) {
		step(random_below(&seed, RECORDS), &live);
		struct base_stats stats = base_read_stats();
		assert_true(stats.mapped >= stats.allocated && stats.allocated >= live + stats.idle);
	}
	for (size_t i = 0; i < RECORDS; i++)
		if (record[i].at != NULL)
			step(i, &live);
	assert_int_equal(live, 0);
}

static void test_reuse(void **state) {
	(void)state;
	void *taken[100];
	for (unsigned k = 0; k < COUNT_OF(kinds); k++) {
		for (unsigned i = 0; i < COUNT_OF(taken); i++)
			taken[i] = base_take(kinds[k], NULL);
		for (unsigned i = 0; i < COUNT_OF(taken); i++)
			base_give(kinds[k], taken[i]);
		struct base_stats before = base_read_stats();
		for (unsigned i = 0; i < COUNT_OF(taken); i++) {
			bool fresh = true;
			taken[i] = base_take(kinds[k], &fresh);
			assert_false(fresh);
		}
		struct base_stats after = base_read_stats();
		assert_int_equal(before.mapped, after.mapped);
		assert_int_equal(before.allocated, after.allocated);
		for (unsigned i = 0; i < COUNT_OF(taken); i++)
			base_give(kinds[k], taken[i]);
	}
}

static void test_alloc(void **state) {
	(void)state;
	unsigned char *before = NULL;
	size_t before_size = 0;
	for (int i = 0; i < 2000; i++) {
		size_t size = 1 + random_below(&seed, 20000), align = (size_t)1 << random_below(&seed, 17);
		unsigned char *memory = base_alloc(size, align);
		assert_non_null(memory);
		assert_int_equal((uintptr_t)memory % align, 0);
		assert_true(is_filled(memory, size, 0));
		assert_true(before == NULL || is_filled(before, before_size, 0x5a));
		memset(memory, 0x5a, size);
		before = memory;
		before_size = size;
	}
	unsigned char *big = base_alloc(5 * MIB, 4096);
	assert_non_null(big);
	memset(big, 1, 5 * MIB);
}

/* Refused: NULL, nothing counted; smaller blocks are tried before that; all is well again later. */
/* The first piece of a new block. */
static uintptr_t take_new_block(void) {
	size_t mapped = base_read_stats().mapped;
	uintptr_t at;
	do
		at = (uintptr_t)base_alloc(64 * KIB, 64 * KIB);
	while (at != 0 && base_read_stats().mapped == mapped);
	assert_int_not_equal(at, 0);
	return at;
}

static void test_huge_blocks(void **state) {
	(void)state;
	static const struct {
		enum base_huge huge;
		size_t more;
	} ways[] = {{BASE_HUGE_ALWAYS, 1}, {BASE_HUGE_NEVER, 0}, {BASE_HUGE_LATER, 1}, {BASE_HUGE_NEVER, 0}};
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		struct base_stats before = base_read_stats();
		base_start(ways[i].huge);
		uintptr_t at = take_new_block();
		struct base_stats after = base_read_stats();
		assert_int_equal(after.huge, before.huge + ways[i].more);
		assert_int_equal(after.mapped, before.mapped + 2 * MIB);
		assert_true(ways[i].more == 0 || at % (2 * MIB) == 0);
	}
}

static void test_no_memory(void **state) {
	(void)state;
	fake.fail_map = true;
	struct base_stats before;
	do {
		before = base_read_stats();
	} while (base_alloc(4000, 8) != NULL);
	struct base_stats after = base_read_stats();
	assert_memory_equal(&before, &after, sizeof before);
	assert_null(base_alloc(64 * KIB, 64 * KIB));
	while (base_alloc(8, 8) != NULL)
		continue;
	assert_null(base_take(BASE_SLOTS + BASE_SLOTS_MAX_LG - 1, NULL)); /* a kind not used so far */
	void *idle = base_take(BASE_SPAN, NULL);                          /* the others are on free lists */
	assert_non_null(idle);
	fake.fail_map = false;
	size_t calls = fake.maps;
	fake.fail_in = 2;
	fake.fail_map = false;
	assert_non_null(base_alloc(100, 8));
	assert_int_equal(fake.maps, calls + 1);
	fake.fail_in = 0;
	base_give(BASE_SPAN, idle);
}

static void test_smaller_block(void **state) {
	(void)state;
	struct base_stats before = base_read_stats();
	size_t left = before.mapped;
	fake.fail_map = true;
	while (base_alloc(4096, 8) != NULL)
		continue;
	fake.fail_map = false;
	fake.fail_in = 1;
	assert_non_null(base_alloc(4096, 8));
	assert_int_equal(base_read_stats().mapped, left + 1 * MIB);
}

int main(void) {
	seed = test_seed();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),   cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_alloc),     cmocka_unit_test(test_huge_blocks),
		cmocka_unit_test(test_no_memory), cmocka_unit_test(test_smaller_block),
	};
	return cmocka_run_group_tests(tests, define, NULL);
}
