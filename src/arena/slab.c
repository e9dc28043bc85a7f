/* slab.c - small blocks: slabs cut into regions, a bitmap each, kept by how full they are.
 *
 * Filling takes from the fullest slabs, so that sparse ones drain and their pages come free. */
#include <string.h>
#include "arena/arena.h"
#include "thread/event.h"
#include "arena/slab.h"

/* How far ahead the flush asks for span records. */
#define PREFETCH 6

static unsigned quarter_of(const struct span *slab) {
	unsigned regions = class_info[slab->class].regions;
	return (unsigned)(slab->free * BIN_QUARTERS - 1) / regions;
}

/* Puts a slab whose free count changed where it belongs. It has at least one free region. */
static void relist(struct bin *bin, struct span *slab, bool listed) REQUIRES(bin->lock) {
	unsigned quarter = quarter_of(slab);
	if (listed && quarter == slab->quarter)
		return;
	if (listed)
		list_remove(&slab->link);
	slab->quarter = (uint8_t)quarter;
	list_push(&bin->nonfull[quarter], &slab->link);
}

/* -- filling --------------------------------------------------------------------------------------------------- */

/* Drops the lock meanwhile: the pages may come from a function of the program. */
static struct span *new_slab(struct arena *arena, struct bin *bin, unsigned class) REQUIRES(bin->lock) {
	const struct class_info *info = &class_info[class];
	lock_drop(&bin->lock);
	struct span *slab = page_take(&arena->pages, SPAN_SLAB, info->slab_pages, PAGE);
	lock_take(&bin->lock);
	if (slab == NULL)
		return NULL;
	slab->arena = arena;
	slab->class = class;
	slab->free = info->regions;
	memset(slab->open, 0, sizeof slab->open);
	bitmap_set_range(slab->open, 0, info->regions);
	map_enter(slab);
	bin->slabs++;
	relist(bin, slab, false);
	return slab;
}

static struct span *fullest(struct bin *bin) REQUIRES(bin->lock) {
	for (unsigned quarter = 0; quarter < BIN_QUARTERS; quarter++) {
		struct list *first = list_first(&bin->nonfull[quarter]);
		if (first != NULL)
			return container_of(first, struct span, link);
	}
	return NULL;
}

/* Takes up to `count` regions of one slab, lowest first. */
static unsigned take_regions(struct span *slab, void **slots, unsigned count) {
	const size_t bytes = class_info[slab->class].bytes;
	unsigned taken = 0, word = slab->from;
	if (count > slab->free)
		count = slab->free;
	while (taken < count) {
		uint64_t open = slab->open[word];
		while (open != 0 && taken < count) {
			slots[taken++] = (void *)(slab->base + (word * 64 + bit_lowest(open)) * bytes);
			open &= open - 1;
		}
		slab->open[word] = open;
		if (open == 0)
			word++;
	}
	slab->from = (uint16_t)word;
	slab->free = (uint16_t)(slab->free - taken);
	return taken;
}

unsigned bin_fill(struct arena *arena, unsigned class, void **slots, unsigned count) {
	struct bin *bin = &arena->bin[class];
	unsigned taken = 0;
	lock_take(&bin->lock);
	while (taken < count) {
		struct span *slab = fullest(bin);
		if (slab == NULL && (slab = new_slab(arena, bin, class)) == NULL)
			break;
		taken += take_regions(slab, slots + taken, count - taken);
		if (slab->free == 0)
			list_remove(&slab->link);
		else
			relist(bin, slab, true);
	}
	bin->filled += taken;
	bin->fills++;
	lock_drop(&bin->lock);
	return taken;
}

/* -- flushing -------------------------------------------------------------------------------------------------- */

/* Marks the region free. Reports what cannot be a block of this slab, or is free already. */
static void give_region(struct span *slab, const void *ptr) {
	const struct class_info *info = &class_info[slab->class];
	size_t offset = (uintptr_t)ptr - slab->base;
	unsigned region = (unsigned)(((uint64_t)offset * info->inverse) >> 32);
	if (unlikely((size_t)region * info->bytes != offset || region >= info->regions))
		event_misuse(MISUSE_INTERIOR, "free", ptr);
	if (unlikely(bitmap_get(slab->open, region)))
		event_misuse(MISUSE_DOUBLE, "free", ptr);
	bitmap_set(slab->open, region);
	slab->free++;
	if (region / 64 < slab->from)
		slab->from = (uint16_t)(region / 64);
}

/* Brings one block back. A slab that becomes empty leaves the bin and is put on `emptied`. */
static void give_block(struct bin *bin, struct span *slab, const void *ptr, struct list *emptied)
	REQUIRES(bin->lock) {
	bool listed = slab->free != 0;
	give_region(slab, ptr);
	if (slab->free < class_info[slab->class].regions) {
		relist(bin, slab, listed);
		return;
	}
	if (listed)
		list_remove(&slab->link);
	list_push(emptied, &slab->link);
	bin->slabs--;
}

static void give_slabs(struct list *emptied) {
	list_each_safe (emptied, node) {
		struct span *slab = container_of(node, struct span, link);
		list_remove(node);
		map_remove(slab);
		page_give(&slab->arena->pages, slab);
	}
}

static struct span *slab_of(const void *ptr, unsigned class) {
	struct span *slab = map_span(ptr);
	if (unlikely(slab == NULL || slab->kind != SPAN_SLAB || slab->class != class))
		event_misuse(MISUSE_DOUBLE, "free", ptr); /* its slab has gone: all of it was free */
	return slab;
}

/* Brings back all blocks of slots[] that belong to the arena of the first; keeps the others, in order.
 * Returns how many are left. */
static unsigned flush_one_arena(unsigned class, void **slots, unsigned count) {
	struct arena *arena = slab_of(slots[0], class)->arena;
	struct bin *bin = &arena->bin[class];
	struct list emptied;
	unsigned left = 0;
	list_init(&emptied);
	lock_take(&bin->lock);
	for (unsigned i = 0; i < count; i++) {
		if (i + PREFETCH < count)
			__builtin_prefetch(map_span(slots[i + PREFETCH]), 1);
		struct span *slab = slab_of(slots[i], class);
		if (slab->arena == arena)
			give_block(bin, slab, slots[i], &emptied);
		else
			slots[left++] = slots[i];
	}
	bin->flushed += count - left;
	bin->flushes++;
	lock_drop(&bin->lock);
	give_slabs(&emptied);
	return left;
}

void bin_flush(unsigned class, void **slots, unsigned count) {
	while (count > 0)
		count = flush_one_arena(class, slots, count);
}

/* -- the rest -------------------------------------------------------------------------------------------------- */

void bin_init(struct bin *bin) {
	lock_init(&bin->lock, RANK_BIN);
	for (unsigned quarter = 0; quarter < BIN_QUARTERS; quarter++)
		list_init(&bin->nonfull[quarter]);
}

void bin_audit(struct bin *bin, unsigned class) {
	const struct class_info *info = &class_info[class];
	size_t listed = 0, open = 0;
	lock_take(&bin->lock);
	for (unsigned quarter = 0; quarter < BIN_QUARTERS; quarter++) {
		list_each (&bin->nonfull[quarter], node) {
			const struct span *slab = container_of(node, struct span, link);
			must(slab->kind == SPAN_SLAB && slab->class == class, slab);
			must(slab->quarter == quarter && quarter_of(slab) == quarter, slab);
			must(bitmap_count_range(slab->open, 0, 512) == slab->free, slab);
			must(slab->free > 0 && slab->free < info->regions, slab);
			must(bitmap_next_set(slab->open, 512, 0) / 64 >= slab->from, slab);
			listed++;
			open += slab->free;
		}
	}
	must(listed <= bin->slabs, bin);
	must(bin->filled - bin->flushed == bin->slabs * info->regions - open, bin);
	lock_drop(&bin->lock);
}
