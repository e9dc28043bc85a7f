/* registry.c - the table of arenas: which there are, and which thread uses which. */
#include <errno.h>
#include <string.h>
#include "os/os.h"
#include "arena/inside.h"

#define NO_OVERSIZE (SIZE_LIMIT + PAGE)

static _Alignas(CACHE_LINE) struct lock arenas_lock = LOCK_INITIALIZER(RANK_ARENAS);
static _Atomic(struct arena *) arenas[ARENA_LIMIT];    /* [acquire/release; written under arenas_lock] */
static _Atomic(unsigned) count;                        /* [atomic; written under arenas_lock] indices */
static _Atomic(unsigned) made;                         /* [atomic; written under arenas_lock] */
static _Atomic(int64_t) default_decay_ms[PAGE_STATES]; /* [atomic] */
static _Atomic(bool) no_more;                          /* [atomic] */
static struct arena *idle;                             /* [arenas_lock] records to reserve, last one first */
static struct arena_settings settings;                 /* [const after start] */
static _Alignas(CACHE_LINE) struct pool pool;

struct arena *arena_at(unsigned index) {
	return index < ARENA_LIMIT ? load_acquire(&arenas[index]) : NULL;
}

unsigned arena_count(void) {
	return load_acquire(&count);
}

unsigned arena_made(void) {
	return load_relaxed(&made);
}

unsigned arena_limit(void) {
	return settings.limit;
}

struct pool *arena_pool(void) {
	return &pool;
}

struct pool *arena_own_pool(const struct arena *arena) {
	struct pool *own = load_relaxed(&arena->pages.pool);
	return own == &pool ? NULL : own;
}

bool arena_has_oversize(void) {
	return settings.oversize < NO_OVERSIZE;
}

size_t arena_oversize_threshold(void) {
	return settings.oversize;
}

STARTUP void arena_prepare(const struct arena_settings *wanted) {
	settings = *wanted;
	settings.limit = (unsigned)size_min(settings.limit, ARENA_LIMIT - 1);
	if (settings.oversize < LARGE_MIN || settings.oversize > SIZE_LIMIT)
		settings.oversize = NO_OVERSIZE;
	for (int s = 0; s < PAGE_STATES; s++)
		store_relaxed(&default_decay_ms[s], settings.decay_ms[s]);
	store_relaxed(&count, settings.limit + arena_has_oversize());
	base_define(BASE_SPAN, SPAN_SIZE(SPAN_LARGE));
	base_define(BASE_SLAB, SPAN_SIZE(SPAN_SLAB));
	base_define(BASE_CHUNK, sizeof(struct chunk));
	base_define(BASE_POOL, sizeof(struct pool));
	pool_init(&pool, settings.hint, settings.decay_ms[PAGE_DIRTY], os_now());
}

unsigned arena_shards(unsigned class) {
	return settings.shards[class] > 1 ? settings.shards[class] : 1;
}

struct bin *arena_bin(struct arena *arena, unsigned class, unsigned shard) {
	struct bin *bins = load_acquire(&arena->bins[class]);
	return bins == NULL ? NULL : &bins[shard];
}

int64_t arena_default_decay(enum page_state state) {
	return load_relaxed(&default_decay_ms[state]);
}

/* -1 is longest. */
static STARTUP void settle_pool_decay(uint64_t now) {
	int64_t longest = 0;
	EACH_ARENA (arena, i) {
		int64_t ms = load_relaxed(&arena->pages.decay[PAGE_DIRTY].ms);
		if (arena_own_pool(arena) == NULL && longest >= 0 && (ms < 0 || ms > longest))
			longest = ms;
	}
	if (longest != load_relaxed(&pool.decay.ms))
		pool_set_decay(&pool, longest, now);
}

void arena_set_decay(struct arena *arena, enum page_state state, int64_t ms, uint64_t now) {
	page_set_decay(&arena->pages, state, ms, now);
	if (state == PAGE_DIRTY && arena_own_pool(arena) == NULL)
		settle_pool_decay(now);
}

int arena_set_default_decay(enum page_state state, int64_t ms) {
	if (ms < DECAY_NEVER || ms > DECAY_MS_LIMIT)
		return EFAULT;
	store_relaxed(&default_decay_ms[state], ms);
	return 0;
}

/* -- making ---------------------------------------------------------------------------------------------------- */

static void name_arena(struct arena *arena) REQUIRES(arenas_lock) {
	struct text text = text_over(arena->name, sizeof arena->name);
	if (arena->index == settings.limit && arena_has_oversize())
		text_add(&text, "auto_oversize");
	else
		text_add(&text, "%s_%u", arena->manual ? "manual" : "auto", arena->index);
}

static STARTUP void enter(struct arena *arena) REQUIRES(arenas_lock) {
	arena->born = os_now();
	arena->node = os_node();
	name_arena(arena);
	store_release(&arenas[arena->index], arena);
	add_relaxed(&made, 1);
}

/* Makes an automatic arena. NULL: no memory. */
static STARTUP struct arena *make_automatic(unsigned index) REQUIRES(arenas_lock) {
	struct arena *arena = base_alloc(sizeof(struct arena), CACHE_LINE);
	if (arena == NULL)
		return NULL;
	const int64_t decay_ms[PAGE_STATES] = {[PAGE_DIRTY] = arena_default_decay(PAGE_DIRTY),
	                                       [PAGE_MUZZY] = arena_default_decay(PAGE_MUZZY)};
	store_relaxed(&arena->oversize, settings.oversize);
	arena->index = arena->pages.index = index;
	pages_init(&arena->pages, &pool, decay_ms, os_now());
	enter(arena);
	settle_pool_decay(arena->born);
	return arena;
}

struct arena *arena_make(unsigned index) {
	struct arena *arena = arena_at(index);
	if (arena != NULL || index >= settings.limit + arena_has_oversize())
		return arena;
	lock_take(&arenas_lock);
	arena = arena_at(index);
	if (arena == NULL)
		arena = make_automatic(index);
	lock_drop(&arenas_lock);
	return arena;
}

STARTUP bool arena_make_first(void) {
	return arena_make(0) != NULL;
}

/* A record at the next index. */
static struct arena *extend_table(void) REQUIRES(arenas_lock) {
	unsigned index = arena_count();
	struct arena *arena = index < ARENA_LIMIT ? base_alloc(sizeof(struct arena), CACHE_LINE) : NULL;
	if (arena == NULL)
		return NULL;
	arena->index = index;
	arena->manual = true;
	list_init(&arena->larges);
	lock_init(&arena->larges_lock, RANK_BIN);
	return arena;
}

struct arena *table_reserve(void) {
	lock_take(&arenas_lock);
	struct arena *arena = idle;
	if (arena != NULL)
		idle = arena->next;
	else
		arena = extend_table();
	if (arena != NULL && arena->index >= arena_count())
		store_release(&count, arena->index + 1);
	lock_drop(&arenas_lock);
	return arena;
}

void table_enter(struct arena *arena) {
	lock_take(&arenas_lock);
	enter(arena);
	lock_drop(&arenas_lock);
}

bool table_remove(struct arena *arena) {
	lock_take(&arenas_lock);
	bool done = arena_at(arena->index) == arena && load_relaxed(&arena->threads) == 0;
	if (done) {
		store_release(&arenas[arena->index], NULL);
		sub_relaxed(&made, 1);
	}
	lock_drop(&arenas_lock);
	return done;
}

void table_recycle(struct arena *arena, bool failed) {
	lock_take(&arenas_lock);
	arena->next = idle;
	idle = arena;
	if (failed && arena->index + 1 == arena_count())
		store_release(&count, arena->index);
	lock_drop(&arenas_lock);
}

/* -- threads --------------------------------------------------------------------------------------------------- */

/* An automatic arena without threads, made if there may be one more; else the one with fewest. */
static struct arena *least_used(void) REQUIRES(arenas_lock) {
	struct arena *best = arena_at(0);
	unsigned room = settings.limit;
	for (unsigned i = settings.limit; i-- > 0;) {
		struct arena *arena = arena_at(i);
		if (arena == NULL)
			room = i;
		else if (load_relaxed(&arena->threads) <= load_relaxed(&best->threads))
			best = arena;
	}
	if (load_relaxed(&best->threads) == 0 || room == settings.limit || load_relaxed(&no_more))
		return best;
	struct arena *fresh = make_automatic(room);
	return fresh != NULL ? fresh : best;
}

void arena_allow_more(bool allowed) {
	store_relaxed(&no_more, !allowed);
}

bool arena_per_cpu(void) {
	return settings.by_cpu > 0;
}

struct arena *arena_for_cpu(unsigned cpu) {
	return arena_per_cpu() ? arena_make(cpu % settings.by_cpu) : NULL;
}

struct arena *arena_assign(void) {
	struct arena *arena = arena_per_cpu() ? arena_for_cpu(os_cpu()) : NULL;
	lock_take(&arenas_lock);
	if (arena == NULL)
		arena = least_used();
	add_relaxed(&arena->threads, 1);
	lock_drop(&arenas_lock);
	return arena;
}

bool arena_join(struct arena *arena) {
	lock_take(&arenas_lock);
	bool there = arena_at(arena->index) == arena;
	if (there)
		add_relaxed(&arena->threads, 1);
	lock_drop(&arenas_lock);
	return there;
}

void arena_leave(struct arena *arena) {
	lock_take(&arenas_lock);
	sub_relaxed(&arena->threads, 1);
	lock_drop(&arenas_lock);
}

void arena_forget_threads(const struct arena *own) {
	EACH_ARENA (arena, i)
		store_relaxed(&arena->threads, arena == own);
}

struct arena *arena_for_size(struct arena *arena, size_t size) {
	if (likely(size < load_relaxed(&arena->oversize)) || arena->manual || !arena_has_oversize())
		return arena;
	struct arena *oversize = arena_make(settings.limit);
	return oversize != NULL ? oversize : arena;
}

/* -- names and owners ------------------------------------------------------------------------------------------ */

void arena_read_name(struct arena *arena, char name[ARENA_NAME_MAX]) {
	char copy[ARENA_NAME_MAX];
	lock_take(&arenas_lock);
	memcpy(copy, arena->name, sizeof copy);
	lock_drop(&arenas_lock);
	memcpy(name, copy, strlen(copy) + 1);
}

void arena_set_name(struct arena *arena, const char *name) {
	char copy[ARENA_NAME_MAX] = {0};
	(void)memccpy(copy, name, 0, sizeof copy - 1);
	lock_take(&arenas_lock);
	memcpy(arena->name, copy, sizeof copy);
	lock_drop(&arenas_lock);
}

struct arena *arena_of_block(const void *block) {
	const struct span *span = map_span(block);
	return span == NULL ? NULL : span->arena;
}
