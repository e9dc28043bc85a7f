/* posix_memalign, aligned_alloc, memalign, valloc, pvalloc: alignment, usable size, errors. */
// ctest-timeout: 120
// ctest-also: MALLOC_CONF=percpu_cache:true
#define _GNU_SOURCE
#include "api.h"

static void *volatile sink;

enum way { POSIX, ALIGNED, MEMALIGN, WAYS };

static void *take(enum way way, size_t alignment, size_t size) {
	if (way == ALIGNED)
		return aligned_alloc(alignment, size);
	if (way == MEMALIGN)
		return memalign(alignment, size);
	void *ptr = NULL;
	return posix_memalign(&ptr, alignment, size) == 0 ? ptr : NULL;
}

static void expect_aligned(enum way way, size_t alignment, size_t size) {
	void *ptr = NULL;
	ERRNO_KEPT(ptr = take(way, alignment, size));
	assert_non_null(ptr);
	size_t usable = malloc_usable_size(ptr);
	if (usable != model_aligned(alignment, size))
		fail_msg("way %d (%zu, %zu): usable size %zu, expected %zu", (int)way, alignment, size,
		         usable, model_aligned(alignment, size));
	if (!test_aligned(ptr, alignment))
		fail_msg("way %d (%zu, %zu): %p", (int)way, alignment, size, ptr);
	test_fill(ptr, usable, alignment ^ size);
	assert_true(test_holds(ptr, usable, usable, alignment ^ size));
	ERRNO_KEPT(free(ptr));
}

static void every_alignment_with_many_sizes(void **state) {
	(void)state;
	static const size_t sizes[] = {
		0,     1,     8,     15,    16,     33,       100,           500,   1024,
		1100,  3000,  4096,  4097,  6000,   8193,     12289,         14000, 14336,
		14337, 16384, 16385, 33000, 100000, 1u << 20, (2u << 20) + 1};
	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		for (size_t alignment = 1; alignment <= (size_t)8 << 20; alignment *= 2)
			for (int way = POSIX; way < WAYS; way++)
				if (way != POSIX || alignment >= sizeof(void *))
					expect_aligned((enum way)way, alignment, sizes[i]);
}

static void alignments_far_above_the_chunk(void **state) {
	(void)state;
	for (size_t alignment = (size_t)16 << 20; alignment <= (size_t)1 << 32; alignment *= 4)
		for (int way = POSIX; way < WAYS; way++)
			expect_aligned((enum way)way, alignment, 100000);
}

/* Aligned and plain blocks of one class side by side. */
static void many_aligned_blocks_at_once(void **state) {
	(void)state;
	enum { MANY = 600 };
	static unsigned char *blocks[MANY];
	for (size_t alignment = 16; alignment <= 65536; alignment *= 4) {
		for (size_t i = 0; i < MANY; i++) {
			blocks[i] =
				i % 3 == 2 ? malloc(alignment + 3) : aligned_alloc(alignment, i % 7 * 9 + 1);
			assert_non_null(blocks[i]);
			if (i % 3 != 2)
				assert_true(test_aligned(blocks[i], alignment));
			test_fill(blocks[i], malloc_usable_size(blocks[i]), i);
		}
		for (size_t i = 0; i < MANY; i++) {
			size_t usable = malloc_usable_size(blocks[i]);
			assert_true(test_holds(blocks[i], usable, usable, i));
			free(blocks[i]);
		}
	}
}

static void posix_memalign_errors_touch_nothing(void **state) {
	(void)state;
	static const size_t invalid[] = {0, 1, 2, 3, 4, 7, 12, 24, 48, 4095, 4097, SIZE_MAX, SIZE_MAX / 2};
	static char target;
	void *const mark = &target;
	for (size_t i = 0; i < COUNT_OF(invalid); i++) {
		void *ptr = mark;
		int error = 0;
		ERRNO_KEPT(error = posix_memalign(&ptr, invalid[i], 100));
		assert_int_equal(error, EINVAL);
		assert_ptr_equal(ptr, mark);
	}
	for (size_t i = 0; i < COUNT_OF(impossible_sizes); i++) {
		for (size_t alignment = sizeof(void *); alignment != 0; alignment *= 2) {
			void *ptr = mark;
			int error = 0;
			ERRNO_KEPT(error = posix_memalign(&ptr, alignment, impossible_sizes[i]));
			assert_int_equal(error, ENOMEM);
			assert_ptr_equal(ptr, mark);
		}
	}
	void *ptr = mark;
	int error = 0;
	ERRNO_KEPT(error = posix_memalign(&ptr, (size_t)1 << 63, 1));
	assert_int_equal(error, ENOMEM);
	assert_ptr_equal(ptr, mark);
}

static void aligned_alloc_errors(void **state) {
	(void)state;
	static const size_t invalid[] = {0, 3, 5, 12, 24, 4095, SIZE_MAX};
	for (size_t i = 0; i < COUNT_OF(invalid); i++) {
		ERRNO_SET(EINVAL, sink = aligned_alloc(invalid[i], 100));
		assert_null(sink);
		sink = memalign(invalid[i], 100);
		assert_null(sink);
	}
	for (size_t i = 0; i < COUNT_OF(impossible_sizes); i++) {
		for (size_t alignment = 1; alignment != 0; alignment *= 2) {
			ERRNO_SET(ENOMEM, sink = aligned_alloc(alignment, impossible_sizes[i]));
			assert_null(sink);
			sink = memalign(alignment, impossible_sizes[i]);
			assert_null(sink);
		}
	}
	ERRNO_SET(ENOMEM, sink = aligned_alloc((size_t)1 << 63, 1));
	assert_null(sink);
	assert_null(memalign((size_t)1 << 63, 1));
	assert_null(aligned_alloc((size_t)1 << 60, 1));
}

static void valloc_and_pvalloc(void **state) {
	(void)state;
	static const size_t sizes[] = {1, 100, 4095, 4096, 4097, 8192, 8193, 14336, 16385, 100000, 3000000};
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		void *a = NULL, *b = NULL;
		ERRNO_KEPT(a = valloc(sizes[i]));
		ERRNO_KEPT(b = pvalloc(sizes[i]));
		assert_non_null(a);
		assert_non_null(b);
		assert_true(test_aligned(a, MODEL_PAGE));
		assert_true(test_aligned(b, MODEL_PAGE));
		assert_int_equal(malloc_usable_size(a), model_aligned(MODEL_PAGE, sizes[i]));
		assert_int_equal(malloc_usable_size(b),
		                 model_aligned(MODEL_PAGE, model_round(sizes[i], MODEL_PAGE)));
		memset(a, 1, sizes[i]);
		memset(b, 2, malloc_usable_size(b));
		free(a);
		free(b);
	}
	void *a = valloc(0), *b = pvalloc(0);
	assert_true(a != NULL && b != NULL && a != b);
	assert_true(malloc_usable_size(a) >= 8 && malloc_usable_size(b) >= 8);
	free(a);
	free(b);
	for (size_t i = 0; i < COUNT_OF(impossible_sizes); i++) {
		assert_null(sink = valloc(impossible_sizes[i]));
		ERRNO_SET(ENOMEM, sink = pvalloc(impossible_sizes[i]));
		assert_null(sink);
	}
}

/* A block keeps its contents through realloc whatever its alignment was. */
static void realloc_of_aligned_blocks(void **state) {
	(void)state;
	for (size_t alignment = 16; alignment <= (size_t)4 << 20; alignment *= 4) {
		for (size_t size = 24; size < 3000000; size = size * 3 + 1) {
			unsigned char *ptr = aligned_alloc(alignment, size);
			assert_non_null(ptr);
			test_fill(ptr, size, alignment);
			unsigned char *grown = realloc(ptr, size * 2);
			assert_non_null(grown);
			assert_true(test_holds(grown, size, size, alignment));
			unsigned char *less = realloc(grown, size / 2 + 1);
			assert_non_null(less);
			assert_true(test_holds(less, size, size / 2 + 1, alignment));
			free(less);
		}
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_alignment_with_many_sizes),
		cmocka_unit_test(alignments_far_above_the_chunk),
		cmocka_unit_test(many_aligned_blocks_at_once),
		cmocka_unit_test(posix_memalign_errors_touch_nothing),
		cmocka_unit_test(aligned_alloc_errors),
		cmocka_unit_test(valloc_and_pvalloc),
		cmocka_unit_test(realloc_of_aligned_blocks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
