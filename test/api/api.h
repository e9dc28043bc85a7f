/*
 * api.h - what the cmocka programs of this folder include: cmocka with the headers it wants first, the
 * harness, the model of sizes, and sizes no machine can serve.
 */
#ifndef TEST_API_API_H
#define TEST_API_API_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../harness.h"
#include "model.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

TEST_OPAQUE void *t_reallocf(void *ptr, size_t size) {
	TEST_HIDE(ptr);
	TEST_HIDE(size);
	void *moved = SUT(reallocf)(ptr, size);
	TEST_HIDE(moved);
	return moved;
}
#define reallocf(ptr, size) t_reallocf(ptr, size)

/* From just above what an address space holds to what overflows any rounding. */
static const size_t impossible_sizes[] = {
	(size_t)1 << 47,
	(size_t)1 << 62,
	(size_t)0x7000000000000000u,
	(size_t)0x7000000000000001u,
	(size_t)PTRDIFF_MAX - 4096,
	(size_t)PTRDIFF_MAX - 1,
	(size_t)PTRDIFF_MAX,
	(size_t)PTRDIFF_MAX + 1,
	SIZE_MAX - (2u << 20),
	SIZE_MAX - 16384,
	SIZE_MAX - 4096,
	SIZE_MAX - 4095,
	SIZE_MAX - 64,
	SIZE_MAX - 16,
	SIZE_MAX - 15,
	SIZE_MAX - 7,
	SIZE_MAX - 1,
	SIZE_MAX,
};

/* Runs the statement with a marked errno and expects the mark to survive. */
#define ERRNO_KEPT(statement) \
	do { \
		errno = 4711; \
		statement; \
		assert_int_equal(errno, 4711); \
	} while (0)

/* Runs the statement with errno cleared and expects `error` afterwards. */
#define ERRNO_SET(error, statement) \
	do { \
		errno = 0; \
		statement; \
		assert_int_equal(errno, error); \
	} while (0)

#endif
