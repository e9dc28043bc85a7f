/* realloc, reallocarray, reallocf: contents, in-place answers, zero, overflow, failure leaves the block. */
// ctest-timeout: 180
// ctest-also: MALLOC_CONF=percpu_cache:true
#define _GNU_SOURCE
#include "api.h"

static void *volatile sink;

/* One of each kind and both sides of every border between kinds. */
static const size_t ladder[] = {0,
                                1,
                                8,
                                9,
                                40,
                                64,
                                100,
                                255,
                                1000,
                                2048,
                                4000,
                                4097,
                                8000,
                                14336,
                                14337,
                                16384,
                                16385,
                                32768,
                                32769,
                                65000,
                                200000,
                                1000000,
                                (1u << 20) + 1,
                                (2u << 20) - 4096,
                                2u << 20,
                                (2u << 20) + 1,
                                5u << 20,
                                (8u << 20) + 1,
                                20u << 20,
                                64u << 20};

static void from_every_kind_to_every_kind(void **state) {
	(void)state;
	for (size_t i = 0; i < COUNT_OF(ladder); i++) {
		for (size_t j = 0; j < COUNT_OF(ladder); j++) {
			size_t from = ladder[i], to = ladder[j] > 0 ? ladder[j] : 1;
			uint64_t tag = i * 1000 + j;
			void *ptr = malloc(from), *moved = NULL;
			assert_non_null(ptr);
			test_fill(ptr, from, tag);
			ERRNO_KEPT(moved = realloc(ptr, to));
			assert_non_null(moved);
			assert_int_equal(malloc_usable_size(moved), model_usable(to));
			if (!test_holds(moved, from, from < to ? from : to, tag))
				fail_msg("realloc %zu -> %zu lost the contents", from, to);
			test_fill(moved, to, tag + 1);
			assert_true(test_holds(moved, to, to, tag + 1));
			free(moved);
		}
	}
}

static void up_and_down_the_whole_ladder(void **state) {
	(void)state;
	unsigned char *ptr = malloc(1);
	assert_non_null(ptr);
	ptr[0] = 0x5C;
	size_t size = 1;
	while (size < (size_t)64 << 20) {
		size_t next = size + size / 2 + 1;
		test_fill(ptr, size, size);
		ptr = realloc(ptr, next);
		assert_non_null(ptr);
		assert_true(test_holds(ptr, size, size, size));
		size = next;
	}
	while (size > 1) {
		size_t next = size - size / 3;
		test_fill(ptr, size, size);
		ptr = realloc(ptr, next);
		assert_non_null(ptr);
		assert_true(test_holds(ptr, size, next, size));
		size = next == size ? size - 1 : next;
	}
	free(ptr);
}

/* Every byte of a large block, not only the edges, survives a move. */
static void every_byte_survives(void **state) {
	(void)state;
	for (size_t size = 3000; size <= (size_t)12 << 20; size *= 7) {
		size_t words = size / sizeof(uint32_t);
		uint32_t *ptr = malloc(size);
		assert_non_null(ptr);
		for (size_t i = 0; i < words; i++)
			ptr[i] = (uint32_t)(i * 2654435761u);
		void *neighbour = malloc(size);
		assert_non_null(neighbour);
		memset(neighbour, 0xFF, size);
		ptr = realloc(ptr, size * 3);
		assert_non_null(ptr);
		for (size_t i = 0; i < words; i++)
			if (ptr[i] != (uint32_t)(i * 2654435761u))
				fail_msg("word %zu of %zu", i, words);
		memset(neighbour, 0, size);
		ptr = realloc(ptr, size / 2);
		assert_non_null(ptr);
		for (size_t i = 0; i < words / 2; i++)
			if (ptr[i] != (uint32_t)(i * 2654435761u))
				fail_msg("word %zu of %zu after shrinking", i, words);
		free(ptr);
		free(neighbour);
	}
}

static void same_usable_size_stays_in_place(void **state) {
	(void)state;
	for (size_t i = 0; i < COUNT_OF(ladder); i++) {
		void *ptr = malloc(ladder[i]);
		assert_non_null(ptr);
		size_t usable = malloc_usable_size(ptr);
		assert_ptr_equal(realloc(ptr, usable), ptr);
		assert_ptr_equal(realloc(ptr, ladder[i] > 0 ? ladder[i] : 1), ptr);
		size_t less = usable > 16384 ? usable - 4095 : usable > 8 ? usable - 1 : 1;
		if (model_usable(less) == usable)
			assert_ptr_equal(realloc(ptr, less), ptr);
		assert_int_equal(malloc_usable_size(ptr), usable);
		free(ptr);
	}
}

static void null_is_malloc(void **state) {
	(void)state;
	for (size_t i = 0; i < COUNT_OF(ladder); i++) {
		void *ptr = NULL;
		ERRNO_KEPT(ptr = realloc(NULL, ladder[i]));
		assert_non_null(ptr);
		assert_int_equal(malloc_usable_size(ptr), model_usable(ladder[i]));
		free(ptr);
	}
	void *ptr = reallocf(NULL, 0), *array = reallocarray(NULL, 0, 5);
	assert_non_null(ptr);
	assert_non_null(array);
	free(ptr);
	free(array);
}

/* By default realloc(ptr, 0) frees: the result is NULL, errno stays, and the memory comes round again. */
static void zero_frees(void **state) {
	(void)state;
	for (size_t i = 0; i < COUNT_OF(ladder); i++) {
		void *ptr = malloc(ladder[i]);
		assert_non_null(ptr);
		ERRNO_KEPT(ptr = realloc(ptr, 0));
		assert_null(ptr);
	}
	size_t before = test_status_kib("VmRSS");
	for (int round = 0; round < 500; round++) {
		void *ptr = malloc(1u << 20);
		assert_non_null(ptr);
		memset(ptr, 1, 1u << 20);
		assert_null(realloc(ptr, 0));
	}
	assert_true(test_status_kib("VmRSS") < before + 64 * 1024);
}

static void failure_leaves_the_block(void **state) {
	(void)state;
	for (size_t i = 0; i < COUNT_OF(ladder); i++) {
		size_t size = ladder[i];
		void *ptr = malloc(size);
		assert_non_null(ptr);
		test_fill(ptr, size, i);
		for (size_t k = 0; k < COUNT_OF(impossible_sizes); k++) {
			ERRNO_SET(ENOMEM, sink = realloc(ptr, impossible_sizes[k]));
			assert_null(sink);
			ERRNO_SET(ENOMEM, sink = reallocarray(ptr, impossible_sizes[k], 1));
			assert_null(sink);
		}
		assert_int_equal(malloc_usable_size(ptr), model_usable(size));
		assert_true(test_holds(ptr, size, size, i));
		free(ptr);
	}
}

static void reallocarray_overflow(void **state) {
	(void)state;
	char *ptr = malloc(10);
	assert_non_null(ptr);
	memcpy(ptr, "untouched", 10);
	ERRNO_SET(ENOMEM, sink = reallocarray(ptr, SIZE_MAX / 2 + 1, 2));
	assert_null(sink);
	ERRNO_SET(ENOMEM, sink = reallocarray(ptr, (size_t)1 << 32, (size_t)1 << 32));
	assert_null(sink);
	ERRNO_SET(ENOMEM, sink = reallocarray(NULL, ((size_t)1 << 33) + 1, ((size_t)1 << 31) + 8));
	assert_null(sink);
	assert_string_equal(ptr, "untouched");
	ptr = reallocarray(ptr, 1000, 1000);
	assert_non_null(ptr);
	assert_string_equal(ptr, "untouched");
	assert_int_equal(malloc_usable_size(ptr), model_usable(1000000));
	free(ptr);
}

/* reallocf frees the block when it cannot grow it: 2,000 failures of 1 MiB leave nothing behind. */
static void reallocf_frees_on_failure(void **state) {
	(void)state;
	size_t before = test_status_kib("VmRSS");
	for (int round = 0; round < 2000; round++) {
		void *ptr = malloc(1u << 20);
		assert_non_null(ptr);
		if (round % 8 == 0)
			memset(ptr, 1, 1u << 20);
		ERRNO_SET(ENOMEM, sink = reallocf(ptr, PTRDIFF_MAX));
		assert_null(sink);
	}
	assert_true(test_status_kib("VmRSS") < before + 64 * 1024);
	char *ptr = malloc(16);
	assert_non_null(ptr);
	memcpy(ptr, "kept", 5);
	ptr = reallocf(ptr, 100000);
	assert_non_null(ptr);
	assert_string_equal(ptr, "kept");
	free(ptr);
}

/* A random walk of sizes for a set of blocks, so that in-place growth meets taken and free neighbours. */
static void random_walk(void **state) {
	(void)state;
	enum { BLOCKS = 64, SPREAD = 22 };
	static void *blocks[BLOCKS];
	static size_t sizes[BLOCKS];
	static uint64_t tags[BLOCKS];
	uint64_t random = test_seed();
	for (size_t step = 0; step < test_scaled(30000); step++) {
		size_t i = test_below(&random, BLOCKS);
		size_t size = test_below(&random, ((size_t)1 << (3 + test_below(&random, SPREAD - 2)))) + 1;
		void *moved = realloc(blocks[i], size);
		assert_non_null(moved);
		if (blocks[i] != NULL)
			assert_true(test_holds(moved, sizes[i], sizes[i] < size ? sizes[i] : size, tags[i]));
		blocks[i] = moved;
		sizes[i] = size;
		tags[i] = step;
		test_fill(moved, size, step);
	}
	for (size_t i = 0; i < BLOCKS; i++) {
		assert_true(blocks[i] == NULL || test_holds(blocks[i], sizes[i], sizes[i], tags[i]));
		free(blocks[i]);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_every_kind_to_every_kind),
		cmocka_unit_test(up_and_down_the_whole_ladder),
		cmocka_unit_test(every_byte_survives),
		cmocka_unit_test(same_usable_size_stays_in_place),
		cmocka_unit_test(null_is_malloc),
		cmocka_unit_test(zero_frees),
		cmocka_unit_test(failure_leaves_the_block),
		cmocka_unit_test(reallocarray_overflow),
		cmocka_unit_test(reallocf_frees_on_failure),
		cmocka_unit_test(random_walk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
