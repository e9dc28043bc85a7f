/* arena.c - the table of arenas, who uses which, and sums over all. */
#include "os/os.h"
#include "arena/arena.h"
#include "thread/event.h"
#include "arena/slab.h"

static struct lock arenas_lock = LOCK_INITIALIZER(RANK_ARENAS);
static _Atomic(struct arena *) arenas[ARENA_LIMIT]; /* [acquire/release; written under arenas_lock] */
static _Atomic(unsigned) count;                     /* [atomic; written under arenas_lock] */
static struct arena_settings settings;              /* [const after start] */
static struct pool pool;

struct arena *arena_at(unsigned index) {
	return index < ARENA_LIMIT ? load_acquire(&arenas[index]) : NULL;
}

unsigned arena_count(void) {
	return load_acquire(&count);
}

unsigned arena_limit(void) {
	return settings.limit;
}

struct pool *arena_pool(void) {
	return &pool;
}

#define EACH_ARENA(arena, i) \
	for (unsigned i = 0, n_ = arena_count(); i < n_; i++) \
		for (struct arena *arena = arena_at(i); arena != NULL; arena = NULL)

/* Makes the next arena. NULL: no memory. */
static struct arena *new_arena(void) {
	unsigned index = arena_count();
	struct arena *arena = base_alloc(sizeof(struct arena), CACHE_LINE);
	if (arena == NULL)
		return NULL;
	arena->index = index;
	for (unsigned class = 1; class <= CLASS_SMALL_LAST; class ++)
		bin_init(&arena->bin[class]);
	arena->pages.index = index;
	pages_init(&arena->pages, &pool, settings.decay_ms, os_now());
	store_release(&arenas[index], arena);
	store_release(&count, index + 1);
	return arena;
}

void arena_prepare(const struct arena_settings *wanted) {
	settings = *wanted;
	if (settings.limit > ARENA_LIMIT)
		settings.limit = ARENA_LIMIT;
	base_define(BASE_SPAN, SPAN_SIZE(SPAN_LARGE));
	base_define(BASE_SLAB, SPAN_SIZE(SPAN_SLAB));
	base_define(BASE_CHUNK, sizeof(struct chunk));
	base_define(BASE_POOL, sizeof(struct pool));
	pool_init(&pool, settings.hint, settings.decay_ms[PAGE_DIRTY], os_now());
}

bool arena_make_first(void) {
	lock_take(&arenas_lock);
	bool done = arena_count() > 0 || new_arena() != NULL;
	lock_drop(&arenas_lock);
	return done;
}

static struct arena *least_used(void) {
	struct arena *best = arena_at(0);
	EACH_ARENA (arena, i)
		if (load_relaxed(&arena->threads) < load_relaxed(&best->threads))
			best = arena;
	return best;
}

struct arena *arena_assign(void) {
	lock_take(&arenas_lock);
	struct arena *arena = least_used();
	if (load_relaxed(&arena->threads) > 0 && arena_count() < settings.limit) {
		struct arena *fresh = new_arena();
		if (fresh != NULL)
			arena = fresh;
	}
	add_relaxed(&arena->threads, 1);
	lock_drop(&arenas_lock);
	return arena;
}

void arena_leave(struct arena *arena) {
	lock_take(&arenas_lock);
	sub_relaxed(&arena->threads, 1);
	lock_drop(&arenas_lock);
}

void arena_forget_threads(struct arena *own) {
	EACH_ARENA (arena, i)
		store_relaxed(&arena->threads, arena == own);
}

/* -- filling and flushing -------------------------------------------------------------------------------------- */

unsigned arena_fill(struct arena *arena, unsigned class, void **slots, unsigned want) {
	if (class <= CLASS_SMALL_LAST)
		return bin_fill(arena, class, slots, want);
	unsigned taken = 0;
	while (taken < want) {
		struct span *span = arena_take_large(arena, class_info[class].bytes, PAGE);
		if (span == NULL)
			break;
		slots[taken++] = (void *)span->base;
	}
	return taken;
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

bool arena_owns(const struct arena *arena, const void *block) {
	const struct span *span = map_span(block);
	return span != NULL && span->arena == arena;
}

/* -- decay and statistics -------------------------------------------------------------------------------------- */

void arena_decay_all(uint64_t now, bool all) {
	EACH_ARENA (arena, i)
		page_decay(&arena->pages, now, all);
	pool_decay(&pool, now, all);
}

struct class_stats arena_read_own_class(struct arena *arena, unsigned class) {
	struct class_stats own = {0};
	if (class > CLASS_SMALL_LAST) {
		const struct large_counts *large = &arena->large[class - CLASS_SMALL_LAST - 1];
		own.flushed = load_acquire(&large->given); /* first: never more than taken */
		own.filled = load_relaxed(&large->taken);
		return own;
	}
	struct bin *bin = &arena->bin[class];
	lock_take(&bin->lock);
	own.filled = bin->filled;
	own.flushed = bin->flushed;
	own.fills = bin->fills;
	own.flushes = bin->flushes;
	own.slabs = bin->slabs;
	lock_drop(&bin->lock);
	return own;
}

size_t arena_count_nonfull(struct arena *arena, unsigned class) {
	struct bin *bin = &arena->bin[class];
	size_t nonfull = 0;
	lock_take(&bin->lock);
	for (unsigned quarter = 0; quarter < BIN_QUARTERS; quarter++)
		list_each (&bin->nonfull[quarter], node)
			nonfull++;
	lock_drop(&bin->lock);
	return nonfull;
}

size_t arena_count_unused(void) {
	size_t sum = pool_read_stats(&pool).dirty / PAGE;
	EACH_ARENA (arena, i) {
		struct page_stats pages = page_read_stats(&arena->pages);
		sum += pages.dirty + pages.muzzy;
	}
	return sum;
}

struct class_stats arena_read_class(unsigned class) {
	struct class_stats sum = {0};
	EACH_ARENA (arena, i) {
		struct class_stats own = arena_read_own_class(arena, class);
		sum.filled += own.filled;
		sum.flushed += own.flushed;
		sum.fills += own.fills;
		sum.flushes += own.flushes;
		sum.slabs += own.slabs;
	}
	return sum;
}

struct arena_stats arena_read_stats(void) {
	struct arena_stats sum = {.arenas = arena_count()};
	EACH_ARENA (arena, i) {
		struct page_stats pages = page_read_stats(&arena->pages);
		sum.threads += load_relaxed(&arena->threads);
		sum.large += load_relaxed(&arena->huge_bytes);
		sum.active += pages.active * PAGE;
		sum.dirty += pages.dirty * PAGE;
		sum.muzzy += pages.muzzy * PAGE;
		sum.purged += pages.purged[PAGE_DIRTY] + pages.purged[PAGE_MUZZY];
	}
	for (unsigned class = 1; class <= CLASS_LAST; class ++) {
		struct class_stats stats = arena_read_class(class);
		size_t bytes = (size_t)(stats.filled - stats.flushed) * class_info[class].bytes;
		*(class <= CLASS_SMALL_LAST ? &sum.small : &sum.large) += bytes;
		sum.slab_bytes += stats.slabs * class_info[class].slab_pages * PAGE;
	}
	struct pool_stats whole = pool_read_stats(&pool);
	sum.dirty += whole.dirty;
	sum.purged += whole.purged;
	sum.mapped = whole.mapped;
	sum.retained = whole.mapped - size_min(whole.mapped, sum.active + sum.dirty + sum.muzzy);
	return sum;
}

void arena_audit(struct arena *arena) {
	for (unsigned class = 1; class <= CLASS_SMALL_LAST; class ++)
		bin_audit(&arena->bin[class], class);
	pages_audit(&arena->pages);
}

void arena_audit_all(void) {
	EACH_ARENA (arena, i)
		arena_audit(arena);
	pool_audit(&pool);
}
