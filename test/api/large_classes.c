/* disable_large_size_classes:false: every way to ask for the size of a large block gives the next of four classes per
 * doubling. */
// ctest: MALLOC_CONF=disable_large_size_classes:false
#define _GNU_SOURCE
#include <jemalloc/jemalloc.h>

#include "api.h"

/* The classes as the interface defines them: 16384 and four per doubling. */
static size_t class_above(size_t size) {
	size_t class = 16384;
	while (class < size) {
		size_t power = class;
		while ((power & (power - 1)) != 0)
			power &= power - 1;
		class += power / 4;
	}
	return class;
}

static void check_size(size_t size) {
	size_t expected = class_above(size);
	assert_int_equal(SUT(nallocx)(size, 0), expected);
	assert_int_equal(SUT(nallocx)(size, MALLOCX_ALIGN(8192)), expected);
	char *block = malloc(size);
	assert_non_null(block);
	assert_int_equal(malloc_usable_size(block), expected);
	assert_int_equal(SUT(sallocx)(block, 0), expected);
	block[expected - 1] = 1;
	size_t kept = SUT(xallocx)(block, size + size / 3, 0, 0);
	assert_true(kept == expected || kept == class_above(size + size / 3));
	block = realloc(block, 2 * size);
	assert_int_equal(malloc_usable_size(block), class_above(2 * size));
	block = realloc(block, size);
	assert_int_equal(malloc_usable_size(block), expected);
	free(block);
}

static void sizes(void **state) {
	(void)state;
	for (size_t size = 14337; size < 300000; size += 1001)
		check_size(size);
	for (size_t size = 1 << 19; size <= 64 << 20; size *= 2) {
		check_size(size - 1);
		check_size(size);
		check_size(size + 1);
	}
	assert_int_equal(SUT(nallocx)((size_t)0x6fffffffffffffff, 0), (size_t)7 << 60);
	assert_int_equal(SUT(nallocx)(((size_t)7 << 60) + 1, 0), 0);
	assert_int_equal(SUT(nallocx)(14336, 0), 14336);
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(sizes)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
