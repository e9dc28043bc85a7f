/* size.h - size classes: from a request to a class and to the usable size.
 *
 *   usable(s) = bytes of the smallest class >= s          s <= CACHED_MAX
 *             = s rounded up to PAGE                      above; or bytes of the smallest large class >= s, where the
 *                                                         option says so
 *
 *   a class of k * 2^n bytes (k odd) is aligned to min(2^n, PAGE): slabs begin on a page */
#ifndef ASHLAR_META_SIZE_H
#define ASHLAR_META_SIZE_H

#include "util/util.h"

#define PAGE_SHIFT 12
#define PAGE       ((size_t)1 << PAGE_SHIFT)

#define CLASS_NONE       0u
#define CLASS_SMALL_LAST 36u
#define CLASS_LAST       41u
#define CLASS_COUNT      42u

#define LARGE_CLASSES \
	196u /* four per doubling from LARGE_MIN to SIZE_LIMIT: what large blocks are counted by */

#define SMALL_MAX  ((size_t)14336)              /* largest block of a slab */
#define LARGE_MIN  ((size_t)16384)              /* smallest block that is its own run of pages */
#define CACHED_MAX ((size_t)32768)              /* largest block a thread cache can hold */
#define SIZE_LIMIT ((size_t)0x7000000000000000) /* largest usable size and alignment */

struct class_info {
	uint32_t bytes;
	uint32_t inverse;    /* ceil(2^32 / bytes): offset / bytes == offset * inverse >> 32 inside a slab */
	uint16_t regions;    /* per slab; 1 for large */
	uint16_t slab_pages; /* pages of a slab, or of the block when large */
};
extern HIDDEN struct class_info class_info[CLASS_COUNT]; /* [const after start] */

/* Gives the slabs of a small class `pages` pages, or as many as it takes to hold 1 to SLAB_REGIONS blocks and no more
 * than SLAB_PAGES. At start. */
#define SLAB_PAGES   64u
#define SLAB_REGIONS 512u
void size_set_slab(unsigned class, unsigned pages);

/* Whether sizes above CACHED_MAX, too, are rounded up to a class, four per doubling. At start. */
void size_set_large_classes(bool rounded);
extern HIDDEN bool size_large_rounded; /* [const after start] */

/* Class by (size + 7) / 8, for sizes up to CACHED_MAX; size 0 is class 1. */
extern HIDDEN const uint8_t class_table[CACHED_MAX / 8 + 1];

/* Class of a request of at most CACHED_MAX bytes. */
static inline unsigned size_class(size_t size) {
	return class_table[(size + 7) >> 3];
}

/* Usable size of a request; 0 when no block can be that large. */
size_t size_usable(size_t size);

/* Usable size of a request aligned to `align` (a power of two); 0 when impossible. */
size_t size_usable_aligned(size_t size, size_t align);

/* The large class (0 to LARGE_CLASSES - 1) that contains a size of at most SIZE_LIMIT bytes; its largest size. */
static inline unsigned size_large_class(size_t size) {
	if (size <= LARGE_MIN)
		return 0;
	unsigned place = bit_highest(size - 1);
	return (place - 14) * 4 + (unsigned)((size - 1) >> (place - 2) & 3) + 1;
}
static inline size_t size_of_large_class(unsigned large) {
	unsigned place = large == 0 ? 0 : (large - 1) / 4, step = large == 0 ? 0 : (large - 1) % 4 + 1;
	return (LARGE_MIN << place) + step * (LARGE_MIN / 4 << place);
}

/* Number of pages that hold `size` bytes. */
static inline size_t size_pages(size_t size) {
	return (size >> PAGE_SHIFT) + ((size & (PAGE - 1)) != 0);
}

/* Number of pages of a large block for a request. */
static inline size_t size_large_pages(size_t size) {
	if (size < LARGE_MIN)
		size = LARGE_MIN;
	if (unlikely(size_large_rounded) && size <= SIZE_LIMIT)
		size = size_of_large_class(size_large_class(size));
	return size_pages(size);
}

#endif
