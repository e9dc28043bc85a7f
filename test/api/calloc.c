/* calloc gives zeros, above all where dirty memory of every kind has just been freed. */
// ctest-timeout: 180
#define _GNU_SOURCE
#include "api.h"

static bool all_zero(const unsigned char *bytes, size_t size) {
	return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static void dirty(size_t size, size_t count) {
	static void *blocks[256];
	for (size_t i = 0; i < count; i++) {
		blocks[i] = malloc(size);
		assert_non_null(blocks[i]);
		memset(blocks[i], 0xFF, malloc_usable_size(blocks[i]));
	}
	for (size_t i = 0; i < count; i++)
		free(blocks[i]);
}

static void expect_zero(size_t size, size_t count) {
	static unsigned char *blocks[256];
	for (size_t i = 0; i < count; i++) {
		blocks[i] = calloc(1, size);
		assert_non_null(blocks[i]);
		if (!all_zero(blocks[i], size))
			fail_msg("calloc(1, %zu), block %zu", size, i);
		memset(blocks[i], 0xDD, malloc_usable_size(blocks[i]));
	}
	for (size_t i = 0; i < count; i++)
		free(blocks[i]);
}

static void small_after_dirtying(void **state) {
	(void)state;
	for (size_t size = 1; size <= 20000; size += size / 9 + 1)
		for (int round = 0; round < 2; round++) {
			dirty(size, 200);
			expect_zero(size, 220);
		}
}

static void large_after_dirtying(void **state) {
	(void)state;
	for (size_t size = 16384; size <= (size_t)4 << 20; size += size / 3 + 4097) {
		size_t count = size < 300000 ? 24 : 4;
		dirty(size, count);
		expect_zero(size, count + 2);
	}
}

static void huge_after_dirtying(void **state) {
	(void)state;
	for (size_t size = (size_t)5 << 20; size <= (size_t)64 << 20; size = size * 2 + 12345) {
		dirty(size, 2);
		expect_zero(size, 2);
	}
}

/* Pages dirtied as one kind of block and handed out as another. */
static void dirty_as_one_kind_clean_as_another(void **state) {
	(void)state;
	static const size_t kinds[] = {48, 1024, 5120, 14336, 16384, 70000, 300000, 2u << 20, 9u << 20};
	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		for (size_t j = 0; j < COUNT_OF(kinds); j++) {
			size_t count = ((size_t)10 << 20) / kinds[i];
			dirty(kinds[i], count < 256 ? count + 1 : 256);
			count = ((size_t)10 << 20) / kinds[j];
			expect_zero(kinds[j], count < 200 ? count + 1 : 200);
		}
}

/* Parts written, shrunk away and grown again leave dirty pages behind large blocks. */
static void after_shrinking_in_place(void **state) {
	(void)state;
	for (int round = 0; round < 8; round++) {
		size_t size = (size_t)(round + 1) * 700000;
		unsigned char *ptr = malloc(size);
		assert_non_null(ptr);
		memset(ptr, 0xAB, size);
		ptr = realloc(ptr, size / 4);
		assert_non_null(ptr);
		expect_zero(size / 2, 2);
		expect_zero(20000, 40);
		free(ptr);
	}
}

static void random_mix(void **state) {
	(void)state;
	enum { BLOCKS = 512 };
	static void *blocks[BLOCKS];
	uint64_t random = test_seed();
	for (size_t step = 0; step < test_scaled(20000); step++) {
		size_t i = test_below(&random, BLOCKS);
		free(blocks[i]);
		size_t size = test_below(&random, (size_t)1 << (4 + test_below(&random, 17))) + 1;
		blocks[i] = calloc(1, size);
		assert_non_null(blocks[i]);
		if (!all_zero(blocks[i], size))
			fail_msg("calloc(1, %zu) at step %zu", size, step);
		memset(blocks[i], 0xFF, malloc_usable_size(blocks[i]));
	}
	for (size_t i = 0; i < BLOCKS; i++)
		free(blocks[i]);
}

/* Also what is usable beyond the request: a block that grows with MALLOCX_ZERO is zero all over. */
static void whole_blocks(void **state) {
	(void)state;
	for (size_t size = 1; size <= 40000; size += 1 + size / 7) {
		char *dirty = malloc(size), *block;
		assert_non_null(dirty);
		memset(dirty, 0xff, malloc_usable_size(dirty));
		free(dirty);
		assert_non_null(block = calloc(1, size));
		for (size_t i = 0, usable = malloc_usable_size(block); i < usable; i++)
			assert_int_equal(block[i], 0);
		free(block);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_blocks),
		cmocka_unit_test(small_after_dirtying),
		cmocka_unit_test(large_after_dirtying),
		cmocka_unit_test(huge_after_dirtying),
		cmocka_unit_test(dirty_as_one_kind_clean_as_another),
		cmocka_unit_test(after_shrinking_in_place),
		cmocka_unit_test(random_mix),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
