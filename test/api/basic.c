/* malloc, calloc and free: results, errno, size 0, overflow, sizes nobody can serve. */
// ctest-timeout: 120
// ctest-also: MALLOC_CONF=percpu_cache:true
#define _GNU_SOURCE
#include "api.h"

static void *volatile sink;

static void size_zero_gives_distinct_blocks(void **state) {
	(void)state;
	void *blocks[64];
	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		ERRNO_KEPT(blocks[i] = i % 3 == 0 ? malloc(0) : i % 3 == 1 ? calloc(0, 12) : calloc(12, 0));
		assert_non_null(blocks[i]);
		assert_int_equal(malloc_usable_size(blocks[i]), 8);
		memset(blocks[i], 0xEE, 8);
		for (size_t j = 0; j < i; j++)
			assert_ptr_not_equal(blocks[i], blocks[j]);
	}
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		ERRNO_KEPT(free(blocks[i]));
}

static void success_leaves_errno(void **state) {
	(void)state;
	for (size_t size = 1; size <= (size_t)64 << 20; size = size * 2 + 1) {
		void *a, *b;
		ERRNO_KEPT(a = malloc(size));
		ERRNO_KEPT(b = calloc(1, size));
		assert_non_null(a);
		assert_non_null(b);
		ERRNO_KEPT(free(a));
		ERRNO_KEPT(free(b));
	}
}

static void free_of_null_does_nothing(void **state) {
	(void)state;
	ERRNO_KEPT(free(NULL));
	ERRNO_KEPT(SUT(cfree)(NULL));
	ERRNO_KEPT(SUT(free_sized)(NULL, 0));
	ERRNO_KEPT(SUT(free_sized)(NULL, 100));
	ERRNO_KEPT(SUT(free_aligned_sized)(NULL, 64, 128));
	assert_int_equal(malloc_usable_size(NULL), 0);
}

static void impossible_sizes_give_enomem(void **state) {
	(void)state;
	for (size_t i = 0; i < COUNT_OF(impossible_sizes); i++) {
		size_t size = impossible_sizes[i];
		ERRNO_SET(ENOMEM, sink = malloc(size));
		assert_null(sink);
		ERRNO_SET(ENOMEM, sink = calloc(1, size));
		assert_null(sink);
		ERRNO_SET(ENOMEM, sink = calloc(size, 1));
		assert_null(sink);
		ERRNO_SET(ENOMEM, sink = realloc(NULL, size));
		assert_null(sink);
	}
	void *after = malloc(100);
	assert_non_null(after);
	free(after);
}

static void calloc_product_overflow(void **state) {
	(void)state;
	static const size_t pairs[][2] = {
		{SIZE_MAX, 2},
		{2, SIZE_MAX},
		{SIZE_MAX / 2 + 1, 2},
		{(size_t)1 << 32, (size_t)1 << 32},
		{((size_t)1 << 32) + 1, (size_t)1 << 32},
		{((size_t)1 << 33) + 1, ((size_t)1 << 31) + 8},
		{SIZE_MAX, SIZE_MAX},
		{SIZE_MAX / 16 + 1, 16},
		{SIZE_MAX / 48 + 1, 48},
	};
	for (size_t i = 0; i < COUNT_OF(pairs); i++) {
		ERRNO_SET(ENOMEM, sink = calloc(pairs[i][0], pairs[i][1]));
		assert_null(sink);
	}
}

static void calloc_takes_any_split_of_the_product(void **state) {
	(void)state;
	static const size_t pairs[][2] = {{1, 100},  {100, 1},    {7, 13},     {1000, 1000},
	                                  {3, 5000}, {65536, 17}, {65536, 257}};
	for (size_t i = 0; i < COUNT_OF(pairs); i++) {
		size_t size = pairs[i][0] * pairs[i][1];
		unsigned char *bytes = calloc(pairs[i][0], pairs[i][1]);
		assert_non_null(bytes);
		assert_int_equal(malloc_usable_size(bytes), model_usable(size));
		for (size_t j = 0; j < size; j++)
			assert_int_equal(bytes[j], 0);
		free(bytes);
	}
}

static void free_keeps_errno_for_every_kind(void **state) {
	(void)state;
	enum { MANY = 3000 };
	static void *blocks[MANY];
	static const size_t sizes[] = {8, 100, 1000, 5000, 14336, 14337, 40000, 300000};
	for (size_t k = 0; k < COUNT_OF(sizes); k++) {
		size_t many = sizes[k] > 20000 ? 300 : MANY;
		for (size_t i = 0; i < many; i++) {
			blocks[i] = malloc(sizes[k]);
			assert_non_null(blocks[i]);
			memset(blocks[i], 1, 1);
		}
		for (size_t i = 0; i < many; i++)
			ERRNO_KEPT(free(blocks[i]));
	}
	for (size_t size = (size_t)1 << 20; size <= (size_t)128 << 20; size *= 2) {
		void *block = malloc(size);
		assert_non_null(block);
		ERRNO_KEPT(free(block));
	}
}

static void sized_frees_take_any_size_of_the_block(void **state) {
	(void)state;
	static const size_t sizes[] = {1, 8, 9, 50, 100, 1025, 4097, 14336, 14337, 33000, 100000, 5000000};
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		for (int round = 0; round < 50; round++) {
			void *a = malloc(sizes[i]), *b = malloc(sizes[i]), *c = aligned_alloc(64, sizes[i]);
			void *d = aligned_alloc(8192, sizes[i]), *e = calloc(1, sizes[i]);
			assert_true(a != NULL && b != NULL && c != NULL && d != NULL && e != NULL);
			ERRNO_KEPT(SUT(free_sized)(a, sizes[i]));
			ERRNO_KEPT(SUT(free_sized)(b, malloc_usable_size(b)));
			ERRNO_KEPT(SUT(free_aligned_sized)(c, 64, sizes[i]));
			ERRNO_KEPT(SUT(free_aligned_sized)(d, 8192, sizes[i]));
			ERRNO_KEPT(SUT(cfree)(e));
		}
	}
}

/* What the sized frees took back is the block itself: the heap does not grow, and nothing is handed out twice. */
static void sized_frees_do_free(void **state) {
	(void)state;
	size_t before = test_status_kib("VmRSS");
	for (int round = 0; round < 400; round++) {
		void *big = malloc(1u << 20), *aligned = aligned_alloc(4096, 1u << 20),
		     *plain = malloc(1u << 20);
		assert_true(big != NULL && aligned != NULL && plain != NULL);
		memset(big, 1, 1u << 20);
		memset(aligned, 2, 1u << 20);
		memset(plain, 3, 1u << 20);
		assert_int_equal(((unsigned char *)big)[12345], 1);
		assert_int_equal(((unsigned char *)aligned)[12345], 2);
		SUT(free_sized)(big, 1u << 20);
		SUT(free_aligned_sized)(aligned, 4096, 1u << 20);
		SUT(cfree)(plain);
	}
	assert_true(test_status_kib("VmRSS") < before + 64 * 1024);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(size_zero_gives_distinct_blocks),
		cmocka_unit_test(success_leaves_errno),
		cmocka_unit_test(free_of_null_does_nothing),
		cmocka_unit_test(impossible_sizes_give_enomem),
		cmocka_unit_test(calloc_product_overflow),
		cmocka_unit_test(calloc_takes_any_split_of_the_product),
		cmocka_unit_test(free_keeps_errno_for_every_kind),
		cmocka_unit_test(sized_frees_take_any_size_of_the_block),
		cmocka_unit_test(sized_frees_do_free),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
