/* Where blocks are and how full their slabs are; many blocks at once; the hint against fragmentation. */
// ctest-timeout: 120
#define _GNU_SOURCE
#include <jemalloc/jemalloc.h>

#include "api.h"

#define NONE  MALLOCX_TCACHE_NONE
#define QUERY "experimental.utilization.query"
#define BATCH "experimental.utilization.batch_query"
#define ALLOC "experimental.batch_alloc"

struct full {
	void *filling;
	size_t free, regions, bytes, bin_free, bin_regions;
};

struct brief {
	size_t free, regions, bytes;
};

struct packet {
	void **slots;
	size_t count, size;
	int flags;
};

static struct full query(void *block) {
	struct full out = {0};
	size_t size = sizeof out;
	assert_int_equal(SUT(mallctl)(QUERY, &out, &size, &block, sizeof block), 0);
	return out;
}

static void query_of_small(void **state) {
	enum { COUNT = 40 };
	void *blocks[COUNT];
	(void)state;
	for (int i = 0; i < COUNT; i++)
		blocks[i] = SUT(mallocx)(1000, NONE);
	struct full facts = query(blocks[0]);
	uint32_t regions;
	size_t size = sizeof regions;
	assert_int_equal(SUT(mallctl)("arenas.bin.20.nregs", &regions, &size, NULL, 0), 0);
	assert_int_equal(facts.regions, regions);
	assert_int_equal(facts.bytes, regions * 1024);
	assert_true(facts.free <= regions && facts.bin_free >= facts.free);
	assert_true(facts.bin_regions >= COUNT && facts.bin_regions % regions == 0);
	assert_true(facts.filling == NULL || test_aligned(facts.filling, 4096));
	size_t free_before = facts.bin_free, regions_before = facts.bin_regions;
	SUT(dallocx)(blocks[1], NONE);
	facts = query(blocks[0]);
	/* either its slab has one more free, or it is gone */
	assert_true(facts.bin_free == free_before + 1 || facts.bin_regions == regions_before - regions);
	SUT(dallocx)(blocks[0], NONE);
	for (int i = 2; i < COUNT; i++)
		SUT(dallocx)(blocks[i], NONE);
}

static void query_of_others(void **state) {
	static char ours[64];
	char on_stack;
	void *const nothing[] = {NULL, ours, &on_stack, (void *)16, (void *)~(uintptr_t)0};
	const struct full zeros = {0};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(nothing); i++) {
		struct full facts = query(nothing[i]);
		assert_memory_equal(&facts, &zeros, sizeof facts);
	}
	char *large = malloc(100000);
	struct full facts = query(large);
	assert_null(facts.filling);
	assert_int_equal(facts.free, 0);
	assert_int_equal(facts.regions, 1);
	assert_int_equal(facts.bytes, 102400);
	assert_int_equal(facts.bin_free, 0);
	assert_int_equal(facts.bin_regions, 0);
	free(large);
}

/* One row for each length that is wrong. */
static void lengths(void **state) {
	struct full out;
	void *block = malloc(10);
	size_t size;
	(void)state;
#define REFUSED(name, old, old_size, new, new_size) \
	do { \
		size = (old_size); \
		assert_int_equal(SUT(mallctl)(name, old, &size, new, new_size), EINVAL); \
	} while (0)
	REFUSED(QUERY, &out, sizeof out, &block, sizeof block - 1);
	REFUSED(QUERY, &out, sizeof out, &block, 0);
	REFUSED(QUERY, &out, sizeof out, NULL, 0);
	REFUSED(QUERY, &out, sizeof out - 8, &block, sizeof block);
	REFUSED(QUERY, &out, sizeof out + 8, &block, sizeof block);
	REFUSED(QUERY, NULL, sizeof out, &block, sizeof block);
	assert_int_equal(SUT(mallctl)(QUERY, &out, NULL, &block, sizeof block), EINVAL);
	REFUSED(BATCH, &out, 24, &block, 7);
	REFUSED(BATCH, &out, 24, &block, 9);
	REFUSED(BATCH, &out, 23, &block, 8);
	REFUSED(BATCH, &out, 48, &block, 8);
	REFUSED(BATCH, &out, 0, &block, 0);
	REFUSED(BATCH, &out, 24, NULL, 0);
	struct packet packet = {&block, 0, 8, 0};
	REFUSED(ALLOC, &out, 7, &packet, sizeof packet);
	REFUSED(ALLOC, &out, 8, &packet, sizeof packet - 1);
	REFUSED(ALLOC, &out, 8, NULL, 0);
	REFUSED(ALLOC, NULL, 8, &packet, sizeof packet);
	free(block);
}

static void batch_query(void **state) {
	void *blocks[] = {malloc(20), NULL, malloc(5000), malloc(100000)};
	struct brief out[COUNT_OF(blocks)];
	size_t size = sizeof out;
	(void)state;
	assert_int_equal(SUT(mallctl)(BATCH, out, &size, blocks, sizeof blocks), 0);
	assert_int_equal(size, sizeof out);
	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		struct full one = query(blocks[i]);
		assert_int_equal(out[i].free, one.free);
		assert_int_equal(out[i].regions, one.regions);
		assert_int_equal(out[i].bytes, one.bytes);
	}
	assert_int_equal(out[0].regions, 128);
	assert_int_equal(out[1].bytes, 0);
	assert_int_equal(out[3].bytes, 102400);
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		free(blocks[i]);
}

/* -- many at once ---------------------------------------------------------------------------------------- */

static size_t batch(void **slots, size_t count, size_t block, int flags) {
	struct packet packet = {slots, count, block, flags};
	size_t filled = 4711, size = sizeof filled;
	assert_int_equal(SUT(mallctl)(ALLOC, &filled, &size, &packet, sizeof packet), 0);
	return filled;
}

static uint64_t number(const char *name) {
	uint64_t value = 0;
	size_t size = sizeof value;
	assert_int_equal(SUT(mallctl)(name, &value, &size, NULL, 0), 0);
	return value;
}

/* Requests served so far, of all sizes. */
static uint64_t requests(void) {
	uint64_t epoch = 1;
	assert_int_equal(SUT(mallctl)("epoch", NULL, NULL, &epoch, sizeof epoch), 0);
	return number("stats.arenas.4096.small.nrequests") + number("stats.arenas.4096.large.nrequests");
}

static void batches(void **state) {
	enum { MOST = 3000 };
	static unsigned char *blocks[MOST];
	static const struct {
		size_t count, size;
		int flags;
	} rows[] = {
		{1, 1, 0},
		{512, 8, 0},
		{MOST, 100, 0},
		{MOST, 100, MALLOCX_ZERO},
		{700, 200, MALLOCX_LG_ALIGN(7)},
		{100, 200, MALLOCX_LG_ALIGN(13)},
		{100, 14336, NONE},
		{50, 20000, MALLOCX_ZERO},
		{20, 100000, MALLOCX_ARENA(0)},
		{1000, 50, MALLOCX_ARENA(0) | NONE | MALLOCX_ZERO},
	};
	(void)state;
	for (size_t r = 0; r < COUNT_OF(rows); r++) {
		size_t align = (size_t)1 << (rows[r].flags & 63),
		       usable = SUT(nallocx)(rows[r].size, rows[r].flags);
		uint64_t bytes = number("thread.allocated"), before = requests();
		assert_int_equal(batch((void **)blocks, rows[r].count, rows[r].size, rows[r].flags),
		                 rows[r].count);
		assert_int_equal(number("thread.allocated"), bytes + rows[r].count * usable);
		assert_int_equal(requests(), before + rows[r].count);
		for (size_t i = 0; i < rows[r].count; i++) {
			assert_true(test_aligned(blocks[i], align));
			assert_int_equal(SUT(sallocx)(blocks[i], 0), usable);
			for (size_t b = 0; b < usable && (rows[r].flags & MALLOCX_ZERO) != 0; b++)
				assert_int_equal(blocks[i][b], 0);
			test_fill(blocks[i], usable, i);
		}
		for (size_t i = 0; i < rows[r].count; i++) {
			assert_true(test_holds(blocks[i], usable, usable, i));
			free(blocks[i]);
		}
	}
	assert_int_equal(batch((void **)blocks, 0, 100, 0), 0);
	assert_int_equal(batch((void **)blocks, 5, SIZE_MAX, 0), 0);
	assert_int_equal(batch((void **)blocks, 5, 1, MALLOCX_LG_ALIGN(63)), 0);
}

/* -- the hint -------------------------------------------------------------------------------------------- */

enum { SIZE = 320, BLOCKS = 12800 };

static size_t slabs_of(void *block) {
	struct full facts = query(block);
	return facts.bin_regions / facts.regions;
}

static void hints_lead_out(void **state) {
	static unsigned char *blocks[BLOCKS];
	size_t left = 0, hints = 0;
	(void)state;
	for (size_t i = 0; i < BLOCKS; i++) {
		blocks[i] = SUT(mallocx)(SIZE, NONE);
		memset(blocks[i], (int)i, SIZE);
		assert_int_equal(SUT(get_defrag_hint)(blocks[i]), 0); /* nothing is sparse yet */
	}
	for (size_t i = 0; i < BLOCKS; i++) {
		if (i % 5 == 0) {
			left++;
			continue;
		}
		SUT(dallocx)(blocks[i], NONE);
		blocks[i] = NULL;
	}
	size_t before = slabs_of(blocks[0]), moved = 0;
	assert_true(before * query(blocks[0]).regions >= BLOCKS);
	for (size_t i = 0; i < BLOCKS; i += 5)
		hints += (size_t)SUT(je_get_defrag_hint)(blocks[i]);
	assert_true(hints > left / 4);
	for (int pass = 0; pass < 3; pass++) {
		for (size_t i = 0; i < BLOCKS; i += 5) {
			if (!SUT(get_defrag_hint)(blocks[i]))
				continue;
			unsigned char *block = SUT(mallocx)(SIZE, NONE);
			memcpy(block, blocks[i], SIZE);
			SUT(dallocx)(blocks[i], NONE);
			blocks[i] = block;
			moved++;
		}
	}
	size_t after = slabs_of(blocks[0]);
	printf("%zu blocks in %zu slabs: %zu hints; after %zu moves in %zu\n", left, before, hints, moved,
	       after);
	assert_true(after <= before * 3 / 10);
	hints = 0;
	for (size_t i = 0; i < BLOCKS; i += 5) {
		assert_int_equal(blocks[i][SIZE - 1], (unsigned char)i);
		hints += (size_t)SUT(get_defrag_hint)(blocks[i]);
	}
	assert_true(hints < left / 10); /* it comes to an end */
	for (size_t i = 0; i < BLOCKS; i += 5)
		SUT(dallocx)(blocks[i], NONE);
}

static void no_hint_for_others(void **state) {
	static char ours[64];
	void *large = malloc(100000), *middle = malloc(20000), *one = SUT(mallocx)(14336, NONE);
	(void)state;
	assert_int_equal(SUT(get_defrag_hint)(NULL), 0);
	assert_int_equal(SUT(get_defrag_hint)(ours), 0);
	assert_int_equal(SUT(get_defrag_hint)(large), 0);
	assert_int_equal(SUT(get_defrag_hint)(middle), 0);
	assert_int_equal(SUT(get_defrag_hint)(one), 0); /* the only slab with room is the one to fill */
	free(large);
	free(middle);
	free(one);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(query_of_small),
		cmocka_unit_test(query_of_others),
		cmocka_unit_test(lengths),
		cmocka_unit_test(batch_query),
		cmocka_unit_test(batches),
		cmocka_unit_test(hints_lead_out),
		cmocka_unit_test(no_hint_for_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
