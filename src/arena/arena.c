/* arena.c - blocks in and out of an arena, time passing, and sums over all arenas. */
#include "arena/arena.h"
#include "thread/event.h"
#include "arena/inside.h"

/* -- filling and flushing -------------------------------------------------------------------------------------- */

/* Each block is a run of pages. */
static unsigned fill_large(struct arena *arena, size_t bytes, void **slots, unsigned want) {
	unsigned taken = 0;
	while (taken < want) {
		struct span *span = arena_take_large(arena, bytes, PAGE);
		if (span == NULL)
			break;
		slots[taken++] = (void *)span->base;
	}
	return taken;
}

unsigned arena_fill(struct arena *arena, unsigned class, void **slots, unsigned want) {
	if (class > CLASS_SMALL_LAST)
		return fill_large(arena, class_info[class].bytes, slots, want);
	return bin_fill(arena, class, slots, want, 0);
}

void *arena_take(struct arena *arena, unsigned class) {
	void *block = NULL;
	if (class <= CLASS_SMALL_LAST)
		return bin_fill(arena, class, &block, 1, 1) == 1 ? block : NULL;
	if (fill_large(arena, class_info[class].bytes, &block, 1) == 1)
		arena_count_requests(arena, class, 1);
	return block;
}

void arena_count_requests(struct arena *arena, unsigned class, uint64_t count) {
	if (class > CLASS_SMALL_LAST) {
		add_relaxed(&arena->large_requests[class - CLASS_SMALL_LAST - 1], count);
		return;
	}
	struct bin *bin = bin_for_thread(arena, class);
	if (bin != NULL)
		add_relaxed(&bin->requests, count);
}

void arena_flush(unsigned class, void **slots, unsigned have) {
	if (class <= CLASS_SMALL_LAST) {
		bin_flush(class, slots, have);
		return;
	}
	for (unsigned i = 0; i < have; i++) {
		struct span *span = map_span(slots[i]);
		if (unlikely(span == NULL || span->class != class))
			event_misuse(MISUSE_DOUBLE, "free", slots[i]);
		else if (unlikely(span->base != (uintptr_t)slots[i]))
			event_misuse(MISUSE_INTERIOR, "free", slots[i]);
		else
			arena_give_large(span);
	}
}

bool arena_has_blocks(unsigned class, void *const *blocks, unsigned count) {
	for (unsigned i = 0; i < count; i++) {
		const struct span *span = map_span(blocks[i]);
		if (span == NULL || span->class != class ||
		    !(class > CLASS_SMALL_LAST ? span->base == (uintptr_t)blocks[i]
		                               : slab_has_block(span, blocks[i])))
			return false;
	}
	return true;
}

bool arena_owns(const struct arena *arena, const void *block) {
	const struct span *span = map_span(block);
	return span != NULL && span->arena == arena;
}

/* -- one block ------------------------------------------------------------------------------------------------- */

static size_t bin_free_regions(const struct bin *bin, unsigned class) REQUIRES(bin->lock) {
	return bin->live * class_info[class].regions - (size_t)(bin->filled - bin->flushed);
}

/* Compares used regions with the average of the slabs that have free ones, without the one filled next, and an eighth of
 * it: among slabs that are nearly alike somebody has to begin. */
static bool is_sparse(struct bin *bin, const struct span *slab) REQUIRES(bin->lock) {
	const struct span *filling = bin_fullest(bin);
	size_t regions = class_info[slab->class].regions;
	if (slab->free == 0 || slab == filling)
		return false;
	size_t others = bin->live - bin->full - 1;
	size_t free = bin_free_regions(bin, slab->class) - filling->free, used = others * regions - free;
	return (regions - slab->free) * others <= used + used / 8;
}

struct block_facts arena_describe(const void *block) {
	const struct span *span = map_span(block);
	if (span == NULL)
		return (struct block_facts){0};
	struct block_facts facts = {.regions = 1, .bytes = span->pages * PAGE};
	if (span->kind != SPAN_SLAB)
		return facts;
	unsigned class = span->class;
	struct bin *bin = arena_bin(span->arena, class, span->shard);
	lock_take(&bin->lock);
	const struct span *filling = bin_fullest(bin);
	facts.filling = filling == NULL ? NULL : (const void *)filling->base;
	facts.free = span->free;
	facts.regions = class_info[class].regions;
	facts.bin_free = bin_free_regions(bin, class);
	facts.bin_regions = bin->live * facts.regions;
	facts.sparse = is_sparse(bin, span);
	lock_drop(&bin->lock);
	return facts;
}

/* -- decay and statistics -------------------------------------------------------------------------------------- */

void arena_decay_all(uint64_t now, bool all) {
	EACH_ARENA (arena, i) {
		arena_hollow(arena, now, all);
		page_decay(&arena->pages, now, all);
	}
	pool_decay(arena_pool(), now, all);
}

void arena_give_unused(uint64_t now) {
	EACH_ARENA (arena, i)
		page_decay(&arena->pages, now, true);
	pool_decay(arena_pool(), now, true);
}

void arena_decay(struct arena *arena, uint64_t now, bool all) {
	arena_hollow(arena, now, all);
	page_decay(&arena->pages, now, all);
	if (arena_own_pool(arena) == NULL)
		pool_decay(arena_pool(), now, all);
}

struct class_stats arena_read_own_class(struct arena *arena, unsigned class) {
	struct class_stats own = {0};
	if (class > CLASS_SMALL_LAST) {
		struct large_stats large = arena_read_own_large(arena, class - CLASS_SMALL_LAST - 1);
		return (struct class_stats){
			.filled = large.taken, .flushed = large.given, .requests = large.requests};
	}
	EACH_BIN (arena, class, bin) {
		lock_take(&bin->lock);
		own.filled += bin->filled;
		own.flushed += bin->flushed;
		own.fills += bin->fills;
		own.flushes += bin->flushes;
		own.requests += load_relaxed(&bin->requests);
		own.created += bin->created;
		own.reused += bin->reused;
		own.slabs += bin->live;
		own.nonfull += bin->live - bin->full;
		lock_drop(&bin->lock);
	}
	return own;
}

struct large_stats arena_read_own_large(struct arena *arena, unsigned large) {
	struct large_stats own;
	own.given = load_acquire(&arena->large[large].given); /* first: never more than taken */
	own.taken = load_relaxed(&arena->large[large].taken);
	own.requests = large < CACHED_LARGE ? load_relaxed(&arena->large_requests[large]) : own.taken;
	return own;
}

size_t arena_read_large_bytes(struct arena *arena) {
	size_t bytes = load_relaxed(&arena->huge_bytes);
	for (unsigned large = 0; large < CACHED_LARGE; large++) {
		struct large_stats own = arena_read_own_large(arena, large);
		bytes += (size_t)(own.taken - own.given) * size_of_large_class(large);
	}
	return bytes;
}

static bool ever(const struct decay *decay) {
	return load_relaxed(&decay->ms) != DECAY_NEVER;
}

size_t arena_count_unused(void) {
	size_t sum = ever(&arena_pool()->decay) ? pool_read_stats(arena_pool()).dirty / PAGE : 0;
	EACH_ARENA (arena, i) {
		struct page_stats pages = page_read_stats(&arena->pages);
		sum += ever(&arena->pages.decay[PAGE_DIRTY]) ? pages.dirty : 0;
		sum += ever(&arena->pages.decay[PAGE_MUZZY]) ? pages.muzzy : 0;
	}
	return sum;
}

bool arena_sweeping(void) {
	EACH_ARENA (arena, i)
		if (arena->sweep.runs)
			return true;
	return false;
}

uint64_t arena_count_given(void) {
	uint64_t sum = pool_read_stats(arena_pool()).purged;
	EACH_ARENA (arena, i) {
		struct page_stats pages = page_read_stats(&arena->pages);
		sum += pages.purged[PAGE_DIRTY] - pages.muzzy + load_relaxed(&arena->hollowed);
	}
	return sum;
}

void arena_add_class(struct class_stats *sum, const struct class_stats *own) {
	sum->filled += own->filled;
	sum->flushed += own->flushed;
	sum->fills += own->fills;
	sum->flushes += own->flushes;
	sum->requests += own->requests;
	sum->created += own->created;
	sum->reused += own->reused;
	sum->slabs += own->slabs;
	sum->nonfull += own->nonfull;
}

struct class_stats arena_read_class(unsigned class) {
	struct class_stats sum = {0};
	EACH_ARENA (arena, i) {
		struct class_stats own = arena_read_own_class(arena, class);
		arena_add_class(&sum, &own);
	}
	return sum;
}

size_t arena_peek_active(const struct arena *arena) {
	size_t active = page_peek_active(&arena->pages);
	return active - size_min(load_relaxed(&arena->hollow), active);
}

struct arena_stats arena_read_stats(void) {
	struct arena_stats sum = {.arenas = arena_made()};
	EACH_ARENA (arena, i) {
		struct page_stats pages = page_read_stats(&arena->pages);
		sum.threads += load_relaxed(&arena->threads);
		sum.large += load_relaxed(&arena->huge_bytes);
		size_t hollow = size_min(load_relaxed(&arena->hollow), pages.active);
		sum.active += (pages.active - hollow) * PAGE;
		sum.slab_hollow += hollow * PAGE;
		sum.dirty += pages.dirty * PAGE;
		sum.muzzy += pages.muzzy * PAGE;
		sum.purged += pages.purged[PAGE_DIRTY] + pages.purged[PAGE_MUZZY];
		if (arena_own_pool(arena) != NULL)
			sum.mapped += pages.mapped + pages.retained;
	}
	for (unsigned class = 1; class <= CLASS_LAST; class ++) {
		struct class_stats stats = arena_read_class(class);
		size_t bytes = (size_t)(stats.filled - stats.flushed) * class_info[class].bytes;
		*(class <= CLASS_SMALL_LAST ? &sum.small : &sum.large) += bytes;
		sum.slab_bytes += stats.slabs * class_info[class].slab_pages * PAGE;
	}
	sum.slab_bytes -= size_min(sum.slab_bytes, sum.slab_hollow);
	struct pool_stats whole = pool_read_stats(arena_pool());
	sum.dirty += whole.dirty;
	sum.purged += whole.purged;
	sum.mapped += whole.mapped;
	sum.retained = sum.mapped - size_min(sum.mapped, sum.active + sum.dirty + sum.muzzy);
	return sum;
}

void arena_audit(struct arena *arena) {
	for (unsigned class = 1; class <= CLASS_SMALL_LAST; class ++)
		EACH_BIN (arena, class, bin)
			bin_audit(bin, class);
	pages_audit(&arena->pages);
	if (arena_own_pool(arena) != NULL)
		pool_audit(arena_own_pool(arena));
}

void arena_audit_all(void) {
	EACH_ARENA (arena, i)
		arena_audit(arena);
	pool_audit(arena_pool());
}
