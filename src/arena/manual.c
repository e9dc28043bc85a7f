/* manual.c - arenas that programs make, reset and destroy. */
#include <errno.h>
#include <string.h>
#include "os/os.h"
#include "thread/event.h"
#include "arena/inside.h"

static _Atomic(unsigned) manuals; /* [atomic] that exist */
static struct lock past_lock =
	LOCK_INITIALIZER(RANK_BIN); /* one at a time with those of bins: not inside them */
static struct arena_past past;      /* [past_lock] */

bool arena_is_manual(const struct arena *arena) {
	return arena->manual;
}

int arena_create(extent_hooks_t *hooks, unsigned *index) {
	struct arena *arena = table_reserve();
	if (arena == NULL)
		return EAGAIN;
	const struct pool_source source = {
		.hooks = hooks, .arena = arena->index, .dss = page_default_dss(), .common = arena_pool()};
	const int64_t decay_ms[PAGE_STATES] = {[PAGE_DIRTY] = arena_default_decay(PAGE_DIRTY),
	                                       [PAGE_MUZZY] = arena_default_decay(PAGE_MUZZY)};
	struct pool *pool = pool_make(&source);
	if (pool == NULL) {
		table_recycle(arena, true);
		return EAGAIN;
	}
	pages_init(&arena->pages, pool, decay_ms, os_now());
	store_relaxed(&arena->oversize, arena_oversize_threshold());
	add_relaxed(&manuals, 1);
	table_enter(arena);
	*index = arena->index;
	return 0;
}

bool arena_may_travel(void *const *blocks, unsigned count) {
	if (likely(load_relaxed(&manuals) == 0))
		return true;
	for (unsigned i = 0; i < count; i++) {
		const struct span *span = map_span(blocks[i]);
		if (span != NULL && span->arena->manual)
			return false;
	}
	return true;
}

/* -- reset ----------------------------------------------------------------------------------------------------- */

static void free_larges(struct arena *arena) {
	for (;;) {
		lock_take(&arena->larges_lock);
		struct list *first = list_first(&arena->larges);
		lock_drop(&arena->larges_lock);
		if (first == NULL)
			return;
		arena_give_large(container_of(first, struct span, link));
	}
}

static void free_blocks(struct arena *arena) {
	free_larges(arena);
	for (unsigned class = 1; class <= CLASS_SMALL_LAST; class ++)
		EACH_BIN (arena, class, bin)
			bin_reset(bin);
}

int arena_reset(struct arena *arena) {
	if (!arena->manual)
		return EFAULT;
	free_blocks(arena);
	return 0;
}

/* -- destroy --------------------------------------------------------------------------------------------------- */

/* Adds what an arena without blocks has counted. */
static void remember(struct arena *arena) {
	struct page_stats pages = page_read_stats(&arena->pages);
	for (unsigned class = 1; class <= CLASS_SMALL_LAST; class ++) {
		struct class_stats own = arena_read_own_class(arena, class);
		lock_take(&past_lock);
		arena_add_class(&past.class[class], &own);
		lock_drop(&past_lock);
	}
	lock_take(&past_lock);
	for (unsigned large = 0; large < LARGE_CLASSES; large++) {
		struct large_stats own = arena_read_own_large(arena, large);
		past.large[large].taken += own.taken;
		past.large[large].given += own.given;
		past.large[large].requests += own.requests;
	}
	for (int s = 0; s < PAGE_STATES; s++) {
		past.pages.purged[s] += pages.purged[s];
		past.pages.purges[s] += pages.purges[s];
		past.pages.passes[s] += pages.passes[s];
	}
	past.destroyed++;
	lock_drop(&past_lock);
}

/* The record is used again: counts begin at zero. The bins and the locks stay. */
static void forget(struct arena *arena) {
	for (unsigned class = 1; class <= CLASS_SMALL_LAST; class ++)
		EACH_BIN (arena, class, bin)
			bin_forget(bin);
	for (unsigned large = 0; large < LARGE_CLASSES; large++) {
		store_relaxed(&arena->large[large].taken, 0);
		store_relaxed(&arena->large[large].given, 0);
	}
	for (unsigned large = 0; large < CACHED_LARGE; large++)
		store_relaxed(&arena->large_requests[large], 0);
	struct pages *pages = &arena->pages;
	lock_take(&pages->lock);
	memset(pages->purged, 0, sizeof pages->purged);
	memset(pages->purges, 0, sizeof pages->purges);
	memset(pages->passes, 0, sizeof pages->passes);
	lock_drop(&pages->lock);
}

bool arena_retire(struct arena *arena) {
	return arena->manual && table_remove(arena);
}

void arena_destroy(struct arena *arena) {
	free_blocks(arena);
	remember(arena);
	bool done = page_destroy(&arena->pages, arena_pool());
	must(done, arena);
	lock_take(&past_lock);
	past.pages.abandoned += arena->pages.abandoned;
	lock_drop(&past_lock);
	forget(arena);
	sub_relaxed(&manuals, 1);
	table_recycle(arena, false);
}

void arena_read_past(struct arena_past *out) {
	lock_take(&past_lock);
	*out = past;
	lock_drop(&past_lock);
}

bool arena_any_destroyed(void) {
	lock_take(&past_lock);
	bool any = past.destroyed != 0;
	lock_drop(&past_lock);
	return any;
}
