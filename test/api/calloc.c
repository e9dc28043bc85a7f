/* calloc gives zeros, above all where dirty memory of every kind has just been freed. */
// ctest-timeout: 180
// ctest-also: MALLOC_CONF=percpu_cache:true
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/resource.h>
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

#define MIB ((size_t)1 << 20)

static long faults(void) {
	struct rusage usage;
	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_minflt;
}

/* Blocks of which all, some windows, some pages, or nothing was used before. */
static void huge_used_in_part(void **state) {
	(void)state;
	static const struct {
		size_t from, to, step;
	} parts[] = {{0, 48, 4096},  {0, 16, 4096}, {20, 40, 4096},    {0, 48, 64 * 4096}, {15, 34, 3 * 4096},
	             {47, 48, 4096}, {0, 0, 4096},  {0, 48, 9 * 4096}, {15, 34, 4096}};
	const size_t size = 48 * MIB - 12345;
	for (size_t i = 0; i < COUNT_OF(parts); i++) {
		unsigned char *block = calloc(1, size);
		assert_non_null(block);
		if (!all_zero(block, size))
			fail_msg("calloc of %zu bytes, round %zu", size, i);
		free(block);
		block = malloc(size);
		assert_non_null(block);
		for (size_t at = parts[i].from * MIB; at < parts[i].to * MIB && at < size;
		     at += parts[i].step)
			block[at + (at / 4096) % 4000 % (size - at)] = 0xEE;
		free(block);
	}
	unsigned char *block = calloc(1, size);
	assert_non_null(block);
	assert_true(all_zero(block, size));
	free(block);
}

/* What is used each time is cleared: it costs no page faults. What is not used does not become resident. */
static void huge_again_and_again(void **state) {
	(void)state;
	const size_t size = 32 * MIB, pages = size / 4096;
	for (int round = 0; round < 6; round++) {
		long before = faults();
		unsigned char *block = calloc(1, size);
		assert_non_null(block);
		for (size_t at = 0; at < size; at += 4096)
			block[at] = 1;
		free(block);
		if (round > 0)
			assert_true(faults() - before < (long)pages / 4);
	}
	free(calloc(1, size)); /* cleared once more */
	for (int round = 0; round < 6; round++) {
		long before = faults();
		free(calloc(1, size));
		assert_true(faults() - before < (long)pages / 4);
	}
	unsigned char *block = calloc(1, size), in_core[64];
	assert_non_null(block);
	size_t resident = 0;
	unsigned char *first = (unsigned char *)(((uintptr_t)block + 65535) & ~(uintptr_t)65535);
	for (size_t at = 0; at + 2 * 65536 <= size; at += MIB) {
		memset(in_core, 0, sizeof in_core);
		assert_int_equal(mincore(first + at, 65536, in_core), 0);
		resident += in_core[0] & 1;
	}
	assert_true(resident < size / MIB / 4);
	free(block);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(huge_again_and_again),
		cmocka_unit_test(huge_used_in_part),
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
