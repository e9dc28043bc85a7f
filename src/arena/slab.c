/* slab.c - small blocks: slabs cut into regions, a bitmap each, kept by how full they are.
 *
 * Filling takes from the fullest slabs, so that sparse ones drain and their pages come free. */
#include <string.h>
#include "arena/arena.h"
#include "thread/event.h"
#include "arena/inside.h"

/* How far ahead the flush looks for span records. */
#define AHEAD 8

#define NO_REGION UINT32_MAX

/* Quarters of the slab that are free, rounded up. */
static unsigned quarter_of(const struct span *slab) {
	unsigned regions = class_info[slab->class].regions;
	return (slab->free * (BIN_LISTS - 1) + regions - 1) / regions;
}

static void enlist(struct bin *bin, struct span *slab, unsigned quarter) REQUIRES(bin->lock) {
	slab->quarter = (uint8_t)quarter;
	list_push(&bin->slabs[quarter], &slab->link);
	bin->full += quarter == 0;
}

static void delist(struct bin *bin, struct span *slab) REQUIRES(bin->lock) {
	list_remove(&slab->link);
	bin->full -= slab->quarter == 0;
}

/* Puts a slab with a block where it belongs. */
static void relist(struct bin *bin, struct span *slab) REQUIRES(bin->lock) {
	unsigned quarter = quarter_of(slab);
	if (quarter == slab->quarter)
		return;
	delist(bin, slab);
	enlist(bin, slab, quarter);
}

/* -- bins ------------------------------------------------------------------------------------------------------ */

static void bin_init(struct bin *bin) {
	lock_init(&bin->lock, RANK_BIN);
	for (unsigned quarter = 0; quarter < BIN_LISTS; quarter++)
		list_init(&bin->slabs[quarter]);
}

/* The bins of a class are made when it is first asked for: most arenas serve few classes. */
static COLD struct bin *bins_make(struct arena *arena, unsigned class) {
	static struct lock make_lock = LOCK_INITIALIZER(RANK_BIN);
	unsigned shards = arena_shards(class);
	lock_take(&make_lock);
	struct bin *bins = load_relaxed(&arena->bins[class]);
	if (bins == NULL && (bins = base_alloc(shards * sizeof *bins, CACHE_LINE)) != NULL) {
		for (unsigned i = 0; i < shards; i++)
			bin_init(&bins[i]);
		store_release(&arena->bins[class], bins);
	}
	lock_drop(&make_lock);
	return bins;
}

/* Which of several bins the calling thread fills from: by where its thread-local storage is, which spreads threads without
 * a word of that storage being ours. */
static unsigned shard_of_thread(unsigned shards) {
	uint64_t mixed = (uint64_t)tls_pointer() * 0x9e3779b97f4a7c15u;
	return (unsigned)((mixed >> 32) * shards >> 32);
}

struct bin *bin_for_thread(struct arena *arena, unsigned class) {
	struct bin *bins = load_acquire(&arena->bins[class]);
	if (unlikely(bins == NULL) && (bins = bins_make(arena, class)) == NULL)
		return NULL;
	unsigned shards = arena_shards(class);
	return likely(shards == 1) ? bins : &bins[shard_of_thread(shards)];
}

/* -- filling --------------------------------------------------------------------------------------------------- */

static void prepare_slab(struct span *slab, struct arena *arena, unsigned class) {
	slab->arena = arena;
	slab->class = class;
	slab->free = class_info[class].regions;
	slab->seen = 0;
	slab->hollow = 0;
	memset(slab->open, 0, sizeof slab->open);
	bitmap_set_range(slab->open, 0, slab->free);
	map_enter(slab);
}

/* Drops the bin's lock meanwhile: the pages may come from a function of the program's, which may allocate. */
static struct span *new_slab(struct arena *arena, struct bin *bin, unsigned class) REQUIRES(bin->lock) {
	lock_drop(&bin->lock);
	struct span *slab = page_take(&arena->pages, SPAN_SLAB, class_info[class].slab_pages, PAGE);
	if (slab != NULL)
		prepare_slab(slab, arena, class);
	lock_take(&bin->lock);
	if (slab == NULL)
		return NULL;
	slab->shard = (uint8_t)(bin - load_relaxed(&arena->bins[class]));
	bin->live++;
	bin->created++;
	enlist(bin, slab, quarter_of(slab));
	return slab;
}

struct span *bin_fullest(struct bin *bin) {
	for (unsigned quarter = 1; quarter < BIN_LISTS; quarter++) {
		struct list *first = list_first(&bin->slabs[quarter]);
		if (first != NULL)
			return container_of(first, struct span, link);
	}
	return NULL;
}

/* Counts the slab's pages as resident again, or as its arena's no more. */
static COLD void forget_hollow(struct span *slab) {
	sub_relaxed(&slab->arena->hollow, bit_count(slab->hollow));
	slab->hollow = 0;
}

/* May pages of the slab that were purged be used again? They count as resident then. */
static COLD bool may_refill(struct span *slab) {
	if (!page_may_refill(bit_count(slab->hollow)))
		return false;
	forget_hollow(slab);
	return true;
}

/* Takes up to `count` regions of one slab, lowest first. */
static unsigned take_regions(struct span *slab, void **slots, unsigned count) {
	const size_t bytes = class_info[slab->class].bytes;
	unsigned taken = 0, word = slab->from;
	if (count > slab->free)
		count = slab->free;
	slab->seen = 0;
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
	slab->from = (uint8_t)word;
	slab->free = (uint16_t)(slab->free - taken);
	return taken;
}

unsigned bin_fill(struct arena *arena, unsigned class, void **slots, unsigned count, unsigned requests) {
	struct bin *bin = bin_for_thread(arena, class);
	unsigned taken = 0;
	if (unlikely(bin == NULL))
		return 0;
	lock_take(&bin->lock);
	while (taken < count) {
		struct span *slab = bin_fullest(bin);
		if (slab != NULL && unlikely(slab->hollow != 0) && !may_refill(slab))
			break;
		if (slab != NULL)
			bin->reused += slab != bin->last;
		else if ((slab = new_slab(arena, bin, class)) == NULL)
			break;
		bin->last = slab;
		unsigned got = take_regions(slab, slots + taken, count - taken);
		bin->filled += got; /* now: making a slab drops the lock */
		taken += got;
		relist(bin, slab);
	}
	bin->fills++;
	if (requests > 0)
		add_relaxed(&bin->requests, taken < requests ? taken : requests);
	lock_drop(&bin->lock);
	return taken;
}

/* -- flushing -------------------------------------------------------------------------------------------------- */

/* Number of the region that begins there; NO_REGION: none does. */
static unsigned region_at(const struct span *slab, const void *ptr) {
	const struct class_info *info = &class_info[slab->class];
	size_t offset = (uintptr_t)ptr - slab->base;
	unsigned region = (unsigned)(((uint64_t)offset * info->inverse) >> 32);
	return (size_t)region * info->bytes == offset && region < info->regions ? region : NO_REGION;
}

bool slab_has_block(const struct span *slab, const void *ptr) {
	return region_at(slab, ptr) != NO_REGION;
}

/* Marks the region free. False: it cannot be a block of this slab, or is free already, which is reported. */
static bool give_region(struct span *slab, const void *ptr) {
	unsigned region = region_at(slab, ptr);
	bool block = region != NO_REGION;
	if (unlikely(!block || bitmap_get(slab->open, region))) {
		event_misuse(block ? MISUSE_DOUBLE : MISUSE_INTERIOR, "free", ptr);
		return false;
	}
	bitmap_set(slab->open, region);
	slab->free++;
	slab->seen = 0;
	if (region / 64 < slab->from)
		slab->from = (uint8_t)(region / 64);
	return true;
}

void bin_settle(struct bin *bin, struct span *slab, struct list *emptied) {
	unsigned regions = class_info[slab->class].regions;
	if (slab->free < regions) {
		/* as blocks come back, it may pass the upper bound of its quarter only: no division for most */
		if (slab->free * (BIN_LISTS - 1u) > slab->quarter * regions)
			relist(bin, slab);
		return;
	}
	delist(bin, slab);
	list_push(emptied, &slab->link);
	bin->live--;
}

/* Brings one block back. A slab that becomes empty leaves the bin and is put on `emptied`. */
static bool give_block(struct bin *bin, struct span *slab, const void *ptr, struct list *emptied)
	REQUIRES(bin->lock) {
	if (unlikely(!give_region(slab, ptr)))
		return false;
	bin_settle(bin, slab, emptied);
	return true;
}

void bin_give_slabs(struct list *emptied) {
	list_each_safe (emptied, node) {
		struct span *slab = container_of(node, struct span, link);
		list_remove(node);
		if (unlikely(slab->hollow != 0))
			forget_hollow(slab);
		map_remove(slab);
		page_give(&slab->arena->pages, slab);
	}
}

/* What the page map has for the block; its record is about to be written to. */
static struct span *look_up(const void *ptr) {
	struct span *slab = map_span(ptr);
	__builtin_prefetch(slab, 1);
	return slab;
}

/* False: its slab has gone, so all of it was free, which is reported. */
static bool is_slab_of(const struct span *slab, const void *ptr, unsigned class) {
	if (likely(slab != NULL && slab->kind == SPAN_SLAB && slab->class == class))
		return true;
	event_misuse(MISUSE_DOUBLE, "free", ptr);
	return false;
}

/* Brings back all blocks of slots[] that belong to the bin of the first, a block of `first`; keeps the others, in order.
 * Returns how many are left. */
static unsigned flush_one_bin(const struct span *first, void **slots, unsigned count) {
	struct arena *arena = first->arena;
	unsigned class = first->class, shard = first->shard, left = 0, given = 0;
	struct bin *bin = &load_acquire(&arena->bins[class])[shard];
	struct span *ahead[AHEAD];
	struct list emptied;
	list_init(&emptied);
	for (unsigned i = 0; i < AHEAD && i < count; i++)
		ahead[i] = look_up(slots[i]);
	lock_take(&bin->lock);
	for (unsigned i = 0; i < count; i++) {
		struct span *slab = ahead[i % AHEAD];
		if (i + AHEAD < count)
			ahead[i % AHEAD] = look_up(slots[i + AHEAD]);
		if (unlikely(!is_slab_of(slab, slots[i], class)))
			continue;
		if (slab->arena == arena && slab->shard == shard)
			given += give_block(bin, slab, slots[i], &emptied);
		else
			slots[left++] = slots[i];
	}
	bin->flushed += given;
	bin->flushes++;
	lock_drop(&bin->lock);
	bin_give_slabs(&emptied);
	return left;
}

void bin_flush(unsigned class, void **slots, unsigned count) {
	while (count > 0) {
		const struct span *first = map_span(slots[0]);
		if (likely(is_slab_of(first, slots[0], class)))
			count = flush_one_bin(first, slots, count);
		else
			slots[0] = slots[--count];
	}
}

/* -- the rest -------------------------------------------------------------------------------------------------- */

void bin_reset(struct bin *bin) {
	struct list emptied;
	list_init(&emptied);
	lock_take(&bin->lock);
	for (unsigned quarter = 0; quarter < BIN_LISTS; quarter++) {
		list_each_safe (&bin->slabs[quarter], node) {
			list_remove(node);
			list_push(&emptied, node);
		}
	}
	bin->flushed = bin->filled;
	bin->live = bin->full = 0;
	bin->last = NULL;
	lock_drop(&bin->lock);
	bin_give_slabs(&emptied);
}

void bin_forget(struct bin *bin) {
	lock_take(&bin->lock);
	bin->filled = bin->flushed = bin->fills = bin->flushes = 0;
	bin->created = bin->reused = 0;
	store_relaxed(&bin->requests, 0);
	lock_drop(&bin->lock);
}

void bin_audit(struct bin *bin, unsigned class) {
	const struct class_info *info = &class_info[class];
	size_t listed = 0, full = 0, open = 0;
	lock_take(&bin->lock);
	for (unsigned quarter = 0; quarter < BIN_LISTS; quarter++) {
		list_each (&bin->slabs[quarter], node) {
			const struct span *slab = container_of(node, struct span, link);
			must(slab->kind == SPAN_SLAB && slab->class == class, slab);
			must(slab->quarter == quarter && quarter_of(slab) == quarter, slab);
			must(bitmap_count_range(slab->open, 0, 512) == slab->free, slab);
			must(slab->free < info->regions, slab);
			must(slab->free == 0 || bitmap_next_set(slab->open, 512, 0) / 64 >= slab->from, slab);
			listed++;
			full += quarter == 0;
			open += slab->free;
		}
	}
	must(listed == bin->live, bin);
	must(full == bin->full, bin);
	must(bin->filled - bin->flushed == bin->live * info->regions - open, bin);
	lock_drop(&bin->lock);
}
