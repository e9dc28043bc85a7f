/* Usable sizes and natural alignment of every size, small and large. */
// ctest-timeout: 120
#define _GNU_SOURCE
#include "api.h"

/* The documented small classes, written out: the model itself is checked against them first. */
static const size_t classes[] = {8,    16,   32,   48,   64,   80,   96,   112,  128,  160,   192,   224,
                                 256,  320,  384,  448,  512,  640,  768,  896,  1024, 1280,  1536,  1792,
                                 2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192, 10240, 12288, 14336};

static void model_agrees_with_the_list(void **state) {
	(void)state;
	size_t at = 0;
	for (size_t size = 0; size <= MODEL_SMALL_MAX; size++) {
		if (size > classes[at])
			at++;
		assert_int_equal(model_usable(size), classes[at]);
	}
	assert_int_equal(at, COUNT_OF(classes) - 1);
}

static void expect_block(size_t size) {
	void *ptr = malloc(size);
	assert_non_null(ptr);
	size_t usable = malloc_usable_size(ptr);
	if (usable != model_usable(size))
		fail_msg("malloc(%zu): usable size %zu, expected %zu", size, usable, model_usable(size));
	if (!test_aligned(ptr, model_alignment(usable)))
		fail_msg("malloc(%zu): %p is not aligned to %zu", size, ptr, model_alignment(usable));
	memset(ptr, 0xA7, usable < 65536 ? usable : 65536);
	((unsigned char *)ptr)[usable - 1] = 0xA7;
	free(ptr);
}

static void every_small_size(void **state) {
	(void)state;
	for (size_t size = 0; size <= MODEL_SMALL_MAX; size++)
		expect_block(size);
}

static void sizes_around_every_large_page_count(void **state) {
	(void)state;
	for (size_t pages = 4; pages <= 1200; pages += pages < 64 ? 1 : 13)
		for (size_t delta = 0; delta < 3; delta++)
			expect_block(pages * MODEL_PAGE - 1 + delta);
}

static void sizes_around_every_power_of_two(void **state) {
	(void)state;
	for (size_t size = 16384; size <= (size_t)256 << 20; size *= 2)
		for (size_t delta = 0; delta < 3; delta++)
			expect_block(size - 1 + delta);
	expect_block(33000);
	expect_block(100000);
	expect_block((2u << 20) + 1);
}

/* Many blocks of a class at once: aligned, of full size, and not one byte shared. */
static void whole_slabs_of_every_class(void **state) {
	(void)state;
	enum { MANY = 700 };
	static void *blocks[MANY];
	for (size_t k = 0; k < COUNT_OF(classes); k++) {
		for (size_t i = 0; i < MANY; i++) {
			blocks[i] = malloc(classes[k]);
			assert_non_null(blocks[i]);
			assert_true(test_aligned(blocks[i], model_alignment(classes[k])));
			assert_int_equal(malloc_usable_size(blocks[i]), classes[k]);
			test_fill(blocks[i], classes[k], (uintptr_t)blocks[i] + k);
		}
		for (size_t i = 0; i < MANY; i++)
			assert_true(test_holds(blocks[i], classes[k], classes[k], (uintptr_t)blocks[i] + k));
		for (size_t i = 0; i < MANY; i++)
			free(blocks[(i * 37) % MANY]);
	}
}

/* The usable size of a block never depends on the way it was obtained. */
static void same_size_by_every_way(void **state) {
	(void)state;
	static const size_t sizes[] = {1,     8,     17,    65,    500,     4095,   4097,
	                               14336, 14337, 20481, 70000, 1000001, 9000000};
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		size_t size = sizes[i];
		void *grown = malloc(3);
		void *ways[] = {calloc(1, size),      realloc(NULL, size),
		                realloc(grown, size), reallocarray(NULL, 1, size),
		                reallocf(NULL, size), memalign(8, size)};
		for (size_t w = 0; w < COUNT_OF(ways); w++) {
			assert_non_null(ways[w]);
			assert_int_equal(malloc_usable_size(ways[w]), model_usable(size));
			free(ways[w]);
		}
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(model_agrees_with_the_list),
		cmocka_unit_test(every_small_size),
		cmocka_unit_test(sizes_around_every_large_page_count),
		cmocka_unit_test(sizes_around_every_power_of_two),
		cmocka_unit_test(whole_slabs_of_every_class),
		cmocka_unit_test(same_size_by_every_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
