/*
 * model.h - the documented usable sizes, computed the slow way.
 *
 * Small: 8, then 16 32 48 64, then four classes per doubling up to 14336.  Above that: whole 4 KiB pages,
 * at least four of them.
 */
#ifndef TEST_API_MODEL_H
#define TEST_API_MODEL_H

#include <stddef.h>

#define MODEL_PAGE      ((size_t)4096)
#define MODEL_SMALL_MAX ((size_t)14336)
#define MODEL_LARGE_MIN ((size_t)16384)

static inline size_t model_round(size_t size, size_t unit) {
	return (size + unit - 1) / unit * unit;
}

/* The smallest class of the four-per-doubling series that holds size. */
static inline size_t model_class(size_t size) {
	if (size <= 8)
		return 8;
	if (size <= 64)
		return model_round(size, 16);
	size_t base = 64;
	while (base * 2 < size)
		base *= 2;
	return model_round(size, base / 4);
}

static inline size_t model_usable(size_t size) {
	if (size <= MODEL_SMALL_MAX)
		return model_class(size);
	return size <= MODEL_LARGE_MIN ? MODEL_LARGE_MIN : model_round(size, MODEL_PAGE);
}

/* A request with an alignment; size 0 counts as 1. */
static inline size_t model_aligned(size_t alignment, size_t size) {
	if (size == 0)
		size = 1;
	if (size <= MODEL_SMALL_MAX && alignment <= MODEL_PAGE) {
		size_t fit = model_class(model_round(size, alignment));
		if (fit < MODEL_LARGE_MIN)
			return fit;
	}
	return size <= MODEL_LARGE_MIN ? MODEL_LARGE_MIN : model_round(size, MODEL_PAGE);
}

/* The alignment every block of this usable size has without being asked. */
static inline size_t model_alignment(size_t usable) {
	if (usable > MODEL_SMALL_MAX)
		return 64;
	size_t lowest = usable & (~usable + 1);
	return lowest < MODEL_PAGE ? lowest : MODEL_PAGE;
}

#endif
