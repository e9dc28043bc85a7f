/* The size classes against the published table, and the arithmetic that rests on them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "quiet_heap.h"
#include "harness.h"
#include "meta/meta.h"

static uint64_t seed;

static const uint32_t expected_small[] = {
	8,    16,   32,   48,   64,   80,   96,   112,  128,  160,   192,   224,
	256,  320,  384,  448,  512,  640,  768,  896,  1024, 1280,  1536,  1792,
	2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192, 10240, 12288, 14336,
};
static const uint32_t expected_large[] = {16384, 20480, 24576, 28672, 32768};

static void test_table(void **state) {
	(void)state;
	assert_int_equal(CLASS_SMALL_LAST, COUNT_OF(expected_small));
	assert_int_equal(CLASS_LAST, COUNT_OF(expected_small) + COUNT_OF(expected_large));
	assert_int_equal(CLASS_COUNT, CLASS_LAST + 1);
	for (unsigned i = 0; i < COUNT_OF(expected_small); i++)
		assert_int_equal(class_info[i + 1].bytes, expected_small[i]);
	for (unsigned i = 0; i < COUNT_OF(expected_large); i++)
		assert_int_equal(class_info[CLASS_SMALL_LAST + 1 + i].bytes, expected_large[i]);
	assert_int_equal(class_info[CLASS_SMALL_LAST].bytes, SMALL_MAX);
	assert_int_equal(class_info[CLASS_SMALL_LAST + 1].bytes, LARGE_MIN);
	assert_int_equal(class_info[CLASS_LAST].bytes, CACHED_MAX);
}

static void test_every_size(void **state) {
	(void)state;
	unsigned class = 1;
	for (size_t size = 0; size <= CACHED_MAX; size++) {
		if (size > class_info[class].bytes)
			class ++;
		assert_int_equal(size_class(size), class);
		assert_int_equal(size_usable(size), class_info[class].bytes);
	}
	assert_int_equal(class, CLASS_LAST);
	for (size_t size = CACHED_MAX + 1; size <= 64 * KIB; size++)
		assert_int_equal(size_usable(size), (size + 4095) / 4096 * 4096);
}

static void test_limits(void **state) {
	(void)state;
	assert_int_equal(SIZE_LIMIT, (size_t)7 << 60);
	assert_int_equal(size_usable(33000), 36864);
	assert_int_equal(size_usable(100000), 102400);
	assert_int_equal(size_usable(SIZE_LIMIT), SIZE_LIMIT);
	assert_int_equal(size_usable(SIZE_LIMIT - 1), SIZE_LIMIT);
	assert_int_equal(size_usable(SIZE_LIMIT - 4096), SIZE_LIMIT - 4096);
	assert_int_equal(size_usable(SIZE_LIMIT + 1), 0);
	assert_int_equal(size_usable(SIZE_MAX), 0);
	assert_int_equal(size_pages(0), 0);
	assert_int_equal(size_pages(1), 1);
	assert_int_equal(size_pages(4096), 1);
	assert_int_equal(size_pages(4097), 2);
	assert_int_equal(size_pages(SIZE_MAX), ((size_t)1 << 52));
}

/* Every block of a class k * 2^n is aligned to min(2^n, page), wherever it lies in its slab. */
static void test_slabs(void **state) {
	(void)state;
	for (unsigned class = 1; class <= CLASS_SMALL_LAST; class ++) {
		const struct class_info *info = &class_info[class];
		size_t slab = info->slab_pages * PAGE;
		assert_int_equal(info->regions, slab / info->bytes);
		assert_true(info->regions >= 1 && info->regions <= 512);
		assert_int_equal(slab % info->bytes, 0);
		assert_true(slab <= 128 * KIB);
		for (size_t offset = 0; offset < slab; offset++)
			assert_int_equal(((uint64_t)offset * info->inverse) >> 32, offset / info->bytes);
	}
	for (unsigned class = CLASS_SMALL_LAST + 1; class <= CLASS_LAST; class ++) {
		assert_int_equal(class_info[class].regions, 1);
		assert_int_equal(class_info[class].slab_pages * PAGE, class_info[class].bytes);
	}
}

/* Every number of pages a slab may be given: how many blocks fit, and that multiply and shift still divide, at every
 * offset. */
static void test_slab_sizes(void **state) {
	(void)state;
	static const unsigned asked[] = {0, 1, 2, 3, 4, 5, 7, 13, 31, 63, 64, 65, 1000, 65535};
	for (unsigned class = 1; class <= CLASS_SMALL_LAST; class ++) {
		struct class_info before = class_info[class];
		for (unsigned i = 0; i < COUNT_OF(asked); i++) {
			size_set_slab(class, asked[i]);
			const struct class_info *info = &class_info[class];
			size_t least = (info->bytes + PAGE - 1) / PAGE,
			       most = 512 * (size_t)info->bytes / PAGE;
			size_t expected = asked[i] < least ? least : asked[i];
			if (expected > most)
				expected = most;
			if (expected > 64)
				expected = 64;
			assert_int_equal(info->slab_pages, expected);
			assert_int_equal(info->regions, expected * PAGE / info->bytes);
			assert_true(info->regions >= 1 && info->regions <= 512);
		}
		for (size_t offset = 0; offset < 64 * PAGE; offset++)
			if (((uint64_t)offset * before.inverse) >> 32 != offset / before.bytes)
				fail_msg("class %u offset %zu", class, offset);
		class_info[class] = before;
	}
	size_set_slab(1, 3); /* 1-160:3 */
	size_set_slab(2, 3);
	size_set_slab(3, 3);
	assert_int_equal(class_info[1].slab_pages, 1);
	assert_int_equal(class_info[2].slab_pages, 2);
	assert_int_equal(class_info[3].slab_pages, 3);
	size_set_slab(1, 1);
	size_set_slab(2, 1);
	size_set_slab(3, 1);
}

/* The large classes: 16 KiB, then four per doubling to 7 EiB. */
static void test_large_classes(void **state) {
	(void)state;
	size_t size = LARGE_MIN;
	for (unsigned large = 0; large < LARGE_CLASSES; large++) {
		assert_int_equal(size_of_large_class(large), size);
		assert_int_equal(size_large_class(size), large);
		assert_int_equal(size_large_class(size - 1), large);
		if (large + 1 < LARGE_CLASSES)
			assert_int_equal(size_large_class(size + 1), large + 1);
		size += ((size_t)1 << bit_highest(size)) / 4;
	}
	assert_int_equal(size_of_large_class(LARGE_CLASSES - 1), SIZE_LIMIT);
	assert_int_equal(size_large_class(0), 0);
}

static void test_rounded(void **state) {
	(void)state;
	size_set_large_classes(true);
	for (size_t i = 0; i < test_scaled(100000); i++) {
		size_t request = 1 + (test_random(&seed) >> (1 + test_random(&seed) % 60));
		size_t usable = size_usable(request);
		if (request > SIZE_LIMIT) {
			assert_int_equal(usable, 0);
			continue;
		}
		assert_true(usable >= request);
		if (request > SMALL_MAX) {
			assert_int_equal(usable, size_of_large_class(size_large_class(request)));
			assert_int_equal(size_large_pages(request) * PAGE, usable);
		}
		assert_int_equal(size_usable(usable), usable);
	}
	assert_int_equal(size_usable(33000), 40960);
	assert_int_equal(size_usable(36864), 40960);
	assert_int_equal(size_usable(1000000), 1048576);
	assert_int_equal(size_usable(SIZE_LIMIT - 1), SIZE_LIMIT);
	assert_int_equal(size_usable(SIZE_LIMIT + 1), 0);
	assert_int_equal(size_usable_aligned(40961, 4096), 49152);
	size_set_large_classes(false);
	assert_int_equal(size_usable(33000), 36864);
	assert_int_equal(size_large_pages(1), 4);
	assert_int_equal(size_large_pages(SIZE_MAX), (size_t)1 << 52);
}

static void test_aligned_examples(void **state) {
	(void)state;
	assert_int_equal(size_usable_aligned(1, (size_t)1 << 12), 4096);
	assert_int_equal(size_usable_aligned(1, (size_t)1 << 13), 16384);
	assert_int_equal(size_usable_aligned(100, (size_t)1 << 6), 128);
	assert_int_equal(size_usable_aligned(100, (size_t)1 << 12), 4096);
	assert_int_equal(size_usable_aligned(100, (size_t)1 << 13), 16384);
	assert_int_equal(size_usable_aligned(1, (size_t)1 << 21), 16384);
	assert_int_equal(size_usable_aligned(1, (size_t)1 << 62), 16384);
	assert_int_equal(size_usable_aligned(1, (size_t)1 << 63), 0);
	assert_int_equal(size_usable_aligned(0, 1), 8);
	assert_int_equal(size_usable_aligned(0, 4096), 4096);
	assert_int_equal(size_usable_aligned(14336, 4096), 16384);
	assert_int_equal(size_usable_aligned(14336, 2048), 14336);
	assert_int_equal(size_usable_aligned(SIZE_LIMIT, 4096), SIZE_LIMIT);
	assert_int_equal(size_usable_aligned(SIZE_LIMIT + 1, 8), 0);
	assert_int_equal(size_usable_aligned(SIZE_MAX, 16), 0);
}

/* The rule of the interface, computed another way; and what it is for: the class found gives that alignment. */
static void test_aligned_rule(void **state) {
	(void)state;
	for (size_t align = 1; align <= 64 * KIB; align *= 2) {
		size_t before = 0;
		for (size_t size = 0; size <= 40 * KIB; size++) {
			size_t usable = size_usable_aligned(size, align);
			size_t rounded = ((size == 0 ? 1 : size) + align - 1) / align * align;
			size_t expected = size_usable(size < LARGE_MIN ? LARGE_MIN : size);
			if (size <= SMALL_MAX && align <= PAGE && size_usable(rounded) < LARGE_MIN)
				expected = size_usable(rounded);
			assert_int_equal(usable, expected);
			assert_true(usable >= size && usable >= before);
			before = usable;
			if (usable < LARGE_MIN)
				assert_int_equal(usable % align, 0);
		}
	}
}

int main(void) {
	seed = test_seed();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),        cmocka_unit_test(test_every_size),
		cmocka_unit_test(test_limits),       cmocka_unit_test(test_slabs),
		cmocka_unit_test(test_slab_sizes),   cmocka_unit_test(test_large_classes),
		cmocka_unit_test(test_rounded),      cmocka_unit_test(test_aligned_examples),
		cmocka_unit_test(test_aligned_rule),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
