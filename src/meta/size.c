/* size.c - the size class tables, made from classes.def. */
#include "meta/meta.h"

#define INVERSE(bytes) ((uint32_t)((((uint64_t)1 << 32) + (bytes)-1) / (bytes)))

struct class_info class_info[CLASS_COUNT] = {
#define SMALL(class, from, bytes, pages) [class] = {bytes, INVERSE(bytes), (pages)*4096 / (bytes), pages},
#define LARGE(class, from, bytes)        [class] = {bytes, INVERSE(bytes), 1, (bytes) / 4096},
#include "meta/classes.def"
#undef SMALL
#undef LARGE
};

const uint8_t class_table[CACHED_MAX / 8 + 1] = {
#define SMALL(class, from, bytes, pages) [((from) + 7) / 8 ...(bytes) / 8] = class,
#define LARGE(class, from, bytes)        [((from) + 7) / 8 ...(bytes) / 8] = class,
#include "meta/classes.def"
#undef SMALL
#undef LARGE
};

#define SMALL(class, from, bytes, pages) \
	_Static_assert((pages)*4096 / (bytes) <= 512, "a slab has at most 512 regions"); \
	_Static_assert((bytes) % 8 == 0, "the table counts in steps of 8 bytes");
#define LARGE(class, from, bytes) _Static_assert((bytes) % 4096 == 0, "large blocks are whole pages");
#include "meta/classes.def"
#undef SMALL
#undef LARGE

bool size_large_rounded;

STARTUP void size_set_large_classes(bool rounded) {
	size_large_rounded = rounded;
}

void size_set_slab(unsigned class, unsigned pages) {
	struct class_info *info = &class_info[class];
	size_t most = size_min(SLAB_PAGES, (size_t)SLAB_REGIONS * info->bytes / PAGE);
	pages = (unsigned)size_max(size_min(pages, most), size_pages(info->bytes));
	info->slab_pages = (uint16_t)pages;
	info->regions = (uint16_t)(pages * PAGE / info->bytes);
}

size_t size_usable(size_t size) {
	if (size <= CACHED_MAX)
		return class_info[size_class(size)].bytes;
	if (size > SIZE_LIMIT)
		return 0;
	return size_large_pages(size) * PAGE;
}

size_t size_usable_aligned(size_t size, size_t align) {
	if (size > SIZE_LIMIT || align > SIZE_LIMIT)
		return 0;
	if (align <= PAGE && size <= SMALL_MAX) {
		size_t usable = size_usable(round_up(size_max(size, 1), align));
		if (usable < LARGE_MIN)
			return usable;
	}
	return size_usable(size_max(size, LARGE_MIN));
}
