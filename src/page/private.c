/* private.c - the pool of an arena whose memory comes from extent hooks.
 *
 *   take:   take a range out whole -> split -> put the rest back;   no range: alloc
 *   give:   take the neighbours out -> merge with each -> put in
 *   purge:  take a range out whole -> dalloc: gone
 *                                     else decommit, purge_forced, purge_lazy, whatever works first -> give
 *
 * The lock is held only between the arrows: while a hook runs, the chunks it is about are nobody's. `run` of the first
 * chunk of a range tells its length also while it is taken, so that ranges go back as they came. */
#include <string.h>
#include "os/os.h"
#include "page/page.h"
#include "page/ranges.h"

/* Most chunks that are mapped ahead of need under default hooks. */
#define GROWTH_MAX 32

/* Each arena's memory begins somewhere else in the upper half of the home window. */
#define HINT_STEP (8 * MIB)

static struct hooked hooked_of(const struct pool *pool) {
	return (struct hooked){load_acquire(&pool->hooks), pool->arena};
}

static struct hook_part whole_of(const struct chunk *first, size_t count) {
	return (struct hook_part){first->base, count * CHUNK, 0, count * CHUNK};
}

/* Makes a range usable that was decommitted. */
static bool commit(struct pool *pool, struct chunk *first, size_t count) {
	if (!first->decommitted)
		return true;
	struct hook_part part = whole_of(first, count);
	if (!hook_commit(hooked_of(pool), &part))
		return false;
	for (size_t i = 0; i < count; i++)
		next_chunk(first, i)->decommitted = false;
	return true;
}

static void enter(struct pool *pool, struct chunk *first, size_t count) {
	lock_take(&pool->lock);
	range_enter(pool, first, count);
	lock_drop(&pool->lock);
}

/* The range [first, first + run) becomes two. */
static bool split(struct pool *pool, struct chunk *first, size_t run, size_t at) {
	struct hook_pair pair = {first->base, at * CHUNK, (run - at) * CHUNK, !first->decommitted};
	if (!hook_split(hooked_of(pool), &pair))
		return false;
	first->run = (uint32_t)at;
	next_chunk(first, at)->run = (uint32_t)(run - at);
	return true;
}

/* -- giving ---------------------------------------------------------------------------------------------------- */

/* The range that is to be joined below (or above) the given one, taken out; NULL: none. */
static struct chunk *take_neighbour(struct pool *pool, const struct chunk *first, size_t count, bool below) {
	lock_take(&pool->lock);
	struct chunk *other =
		below ? range_ending_at(pool, first->base) : range_chunk(pool, first->base + count * CHUNK);
	if (other != NULL && (other->decommitted != first->decommitted || other->pinned != first->pinned))
		other = NULL;
	if (other != NULL)
		(void)range_cut(pool, other, 0, other->run);
	lock_drop(&pool->lock);
	return other;
}

/* Two ranges become one, if their source agrees. */
static bool merge(struct pool *pool, struct chunk *low, struct chunk *high) {
	struct hook_pair pair = {low->base, (size_t)low->run * CHUNK, (size_t)high->run * CHUNK,
	                         !low->decommitted};
	if (!hook_merge(hooked_of(pool), &pair))
		return false;
	low->run += high->run;
	return true;
}

/* Puts one range in, joined with what it touches. */
static void give_range(struct pool *pool, struct chunk *first) {
	struct chunk *other = take_neighbour(pool, first, first->run, true);
	if (other != NULL) {
		if (merge(pool, other, first))
			first = other;
		else
			enter(pool, other, other->run);
	}
	other = take_neighbour(pool, first, first->run, false);
	if (other != NULL && !merge(pool, first, other))
		enter(pool, other, other->run);
	enter(pool, first, first->run);
}

void private_give(struct pool *pool, struct chunk *first, size_t count) {
	while (count > 0) {
		size_t run = first->run;
		uintptr_t next = first->base + run * CHUNK;
		must(run > 0 && run <= count, first);
		give_range(pool, first);
		count -= run;
		if (count > 0)
			first = map_chunk(next);
	}
}

bool pool_split(struct pool *pool, struct chunk *first, size_t at) {
	if (!pool->is_private)
		return true;
	while (first->run < at) {
		at -= first->run;
		first = next_chunk(first, first->run);
	}
	return at == 0 || first->run == at || split(pool, first, first->run, at);
}

/* -- taking ---------------------------------------------------------------------------------------------------- */

/* A range that is neither longer than wanted nor begins too low. */
static struct chunk *find_exact(struct pool *pool, size_t count, size_t align) REQUIRES(pool->lock) {
	struct pool_set *sets[] = {&pool->unclean, &pool->clean};
	for (unsigned s = 0; s < COUNT_OF(sets); s++)
		for (uint64_t left = sets[s]->filled; left != 0; left &= left - 1)
			list_each (&sets[s]->bucket[bit_lowest(left)], node) {
				struct chunk *first = container_of(node, struct chunk, link);
				if (first->run == count && (first->base & (align - 1)) == 0)
					return first;
			}
	return NULL;
}

/* Takes out the range that is to serve; *at is where in it. */
static struct chunk *take_range(struct pool *pool, size_t count, size_t align, bool exact, size_t *at) {
	lock_take(&pool->lock);
	struct chunk *first = exact ? find_exact(pool, count, align) : range_find(pool, count, align);
	if (first != NULL) {
		*at = range_fit(first, count, align);
		(void)range_cut(pool, first, 0, first->run);
	}
	lock_drop(&pool->lock);
	return first;
}

/* Cuts [at, at + count) out of a taken range and puts the rest back; NULL, and all is back: the source declined. */
static struct chunk *cut_out(struct pool *pool, struct chunk *first, size_t at, size_t count) {
	struct chunk *taken = next_chunk(first, at);
	if (at > 0) {
		bool done = split(pool, first, first->run, at);
		enter(pool, first, first->run);
		if (!done)
			return NULL;
	}
	if (taken->run == count)
		return taken;
	bool done = split(pool, taken, taken->run, count);
	struct chunk *rest = done ? next_chunk(taken, count) : taken;
	enter(pool, rest, rest->run);
	return done ? taken : NULL;
}

/* -- growing --------------------------------------------------------------------------------------------------- */

/* Nobody knows of the range yet. */
static void return_fresh(struct pool *pool, const struct grant *grant, size_t size) {
	struct hooked hooked = hooked_of(pool);
	if (!hook_dalloc(hooked, grant->base, size, grant->committed) &&
	    !hook_destroy(hooked, grant->base, size, grant->committed))
		add_relaxed(&pool->abandoned, size);
}

/* Chunks under default hooks: some more than needed, as the heap grows. */
static bool map_more(struct pool *pool, size_t count, size_t align, struct grant *grant, size_t *asked) {
	size_t limit = load_relaxed(&pool->grow_limit) / CHUNK;
	size_t ahead = size_min(size_min(load_relaxed(&pool->mapped) / 4, GROWTH_MAX), limit);
	*asked = size_max(count, ahead);
	*grant = (struct grant){.zeroed = true, .committed = true};
	lock_take(&pool->lock);
	bool done = pool_map(pool, *asked, align, &grant->base);
	if (!done) {
		*asked = count;
		done = pool_map(pool, count, align, &grant->base);
	}
	lock_drop(&pool->lock);
	return done;
}

/* Chunks that are free in the common pool, such as those of arenas that were destroyed, change hands. */
static struct chunk *inherit(struct pool *pool, size_t count, size_t align) {
	struct chunk *first = pool->common == NULL ? NULL : pool_take_free(pool->common, count, align);
	if (first == NULL)
		return NULL;
	for (size_t i = 0; i < count; i++)
		store_release(&next_chunk(first, i)->pool, pool);
	sub_relaxed(&pool->common->mapped, count);
	add_relaxed(&pool->mapped, count);
	first->run = (uint32_t)count;
	return first;
}

/* What a source says of its memory is true of each chunk. */
static void mark(struct chunk *first, size_t count, const struct grant *grant) {
	for (size_t i = 0; i < count; i++) {
		struct chunk *chunk = next_chunk(first, i);
		chunk->decommitted = !grant->committed;
		chunk->pinned = grant->pinned;
		if (!grant->zeroed)
			chunk_set_stale(chunk);
	}
}

/* Fresh chunks, taken. */
static struct chunk *grow(struct pool *pool, size_t count, size_t align) {
	struct hooked hooked = hooked_of(pool);
	struct grant grant;
	size_t got = count;
	if (count > SIZE_LIMIT / CHUNK)
		return NULL;
	struct chunk *first = hooked.table == &page_default_hooks ? inherit(pool, count, align) : NULL;
	if (first != NULL)
		return first;
	bool done = hooked.table == &page_default_hooks ? map_more(pool, count, align, &grant, &got)
	                                                : hook_alloc(hooked, count * CHUNK, align, &grant);
	if (!done)
		return NULL;
	if (!range_record(pool, grant.base, got)) {
		return_fresh(pool, &grant, got * CHUNK);
		return NULL;
	}
	first = map_chunk(grant.base);
	mark(first, got, &grant);
	return got == count ? first : cut_out(pool, first, 0, count);
}

struct chunk *private_take(struct pool *pool, size_t count, size_t align) {
	struct chunk *taken = NULL, *first;
	size_t at;
	for (unsigned exact = 0; exact < 2 && taken == NULL; exact++) {
		first = take_range(pool, count, align, exact, &at);
		if (first == NULL)
			break;
		taken = cut_out(pool, first, at, count);
	}
	if (taken == NULL)
		taken = grow(pool, count, align);
	if (taken != NULL && !commit(pool, taken, count)) {
		enter(pool, taken, count);
		return NULL;
	}
	return taken;
}

bool private_take_at(struct pool *pool, uintptr_t base, size_t count) {
	lock_take(&pool->lock);
	struct chunk *first = range_chunk(pool, base);
	if (first != NULL && first->run >= count)
		(void)range_cut(pool, first, 0, first->run);
	else
		first = NULL;
	lock_drop(&pool->lock);
	if (first == NULL)
		return false;
	first = cut_out(pool, first, 0, count);
	if (first == NULL)
		return false;
	bool done = commit(pool, first, count);
	if (!done)
		enter(pool, first, count);
	return done;
}

/* -- purging --------------------------------------------------------------------------------------------------- */

static size_t unclean_pages(const struct chunk *first, size_t count) {
	size_t pages = 0;
	for (size_t i = 0; i < count; i++) {
		const struct chunk *chunk = next_chunk(first, i);
		pages += (size_t)chunk->count[PAGE_DIRTY] + chunk->count[PAGE_MUZZY];
	}
	return pages;
}

/* Of the range that waits longest, taken out, what may go: all of it, or as many chunks as it takes, if the source agrees
 * to cut them off. NULL: nothing. */
static struct chunk *take_unclean(struct pool *pool, size_t limit) REQUIRES(pool->lock) {
	size_t pages = pool->pages[PAGE_DIRTY] + pool->pages[PAGE_MUZZY];
	if (pool->unclean.filled == 0 || pages <= limit)
		return NULL;
	struct list *bucket = &pool->unclean.bucket[bit_highest(pool->unclean.filled)];
	struct chunk *first = container_of(bucket->prev, struct chunk, link);
	if (limit == 0 || unclean_pages(first, first->run) <= pages - limit)
		return range_cut(pool, first, 0, first->run);
	size_t most = (pages - limit) / CHUNK_PAGES;
	if (most == 0)
		return NULL;
	size_t end = range_unclean_end(first), start = range_unclean_start(first, end, most);
	(void)range_cut(pool, first, 0, first->run);
	lock_drop(&pool->lock);
	first = cut_out(pool, first, start, end - start);
	lock_take(&pool->lock);
	return first;
}

enum page_state pool_purge_part(struct pool *pool, const struct hook_part *part, bool lazily) {
	struct hooked hooked = hooked_of(pool);
	if (lazily && hook_purge_lazy(hooked, part))
		return PAGE_MUZZY;
	if (hook_purge_forced(hooked, part))
		return PAGE_CLEAN;
	(void)hook_purge_lazy(hooked,
	                      part); /* as good as can be, or nothing: its contents are unknown either way */
	return PAGE_STALE;
}

/* The source takes the range back, or its pages as far as it can. */
static void purge_range(struct pool *pool, struct chunk *first) {
	struct hooked hooked = hooked_of(pool);
	size_t count = first->run;
	struct hook_part part = whole_of(first, count);
	struct list records;
	range_hide(first, count, &records);
	if (hook_dalloc(hooked, first->base, part.size, !first->decommitted)) {
		range_forget(pool, &records);
		return;
	}
	range_show(&records);
	bool decommitted = hook_decommit(hooked, &part);
	bool clean = decommitted || pool_purge_part(pool, &part, false) == PAGE_CLEAN;
	for (size_t i = 0; i < count; i++) {
		struct chunk *chunk = next_chunk(first, i);
		chunk->decommitted = decommitted;
		if (clean)
			chunk_set_clean(chunk);
		else
			chunk_set_stale(chunk);
	}
	give_range(pool, first);
}

static struct chunk *oldest_dirty_odd(struct pool *pool, size_t limit) REQUIRES(pool->lock);
static void purge_odd(struct pool *pool, struct chunk *chunk);

void private_purge(struct pool *pool, size_t limit) {
	struct chunk *first;
	while ((first = take_unclean(pool, limit)) != NULL) {
		size_t pages = unclean_pages(first, first->run);
		pool->leaving = pages;
		lock_drop(&pool->lock);
		purge_range(pool, first);
		lock_take(&pool->lock);
		pool->leaving = 0;
		pool->purged += pages;
		pool->purges++;
	}
	while ((first = oldest_dirty_odd(pool, limit)) != NULL) {
		size_t pages = first->pages;
		lock_drop(&pool->lock);
		purge_odd(pool, first);
		lock_take(&pool->lock);
		pool->purged += pages;
		pool->purges++;
	}
}

/* -- odd ranges ------------------------------------------------------------------------------------------------ */

static struct hook_part odd_part(const struct chunk *chunk) {
	return (struct hook_part){chunk->base, chunk->pages * PAGE, 0, chunk->pages * PAGE};
}

/* Enters a free odd range, or takes one out. Its `run_unclean` tells that it is dirty. */
static void note_odd(struct pool *pool, struct chunk *chunk, bool enter) REQUIRES(pool->lock) {
	size_t pages = enter ? chunk->pages : (size_t)0 - chunk->pages,
	       dirty = chunk->run_unclean != 0 ? pages : 0;
	if (enter)
		list_push(&pool->odd, &chunk->link);
	else
		list_remove(&chunk->link);
	pool->odd_pages += pages;
	pool->odd_used -= pages;
	pool->pinned += chunk->pinned ? pages : 0;
	pool->odd_dirty += dirty;
	pool->pages[PAGE_DIRTY] += dirty;
}

/* A free odd range that is not much longer than wanted. */
static struct chunk *reuse_odd(struct pool *pool, size_t pages, size_t align) REQUIRES(pool->lock) {
	list_each (&pool->odd, node) {
		struct chunk *chunk = container_of(node, struct chunk, link);
		if (chunk->pages < pages || chunk->pages - pages > pages / 8 ||
		    (chunk->base & (align - 1)) != 0)
			continue;
		note_odd(pool, chunk, false);
		return chunk;
	}
	return NULL;
}

static struct chunk *new_odd(struct pool *pool, size_t pages, size_t align) {
	struct grant grant;
	if (pages > SIZE_LIMIT / PAGE || !hook_alloc(hooked_of(pool), pages * PAGE, align, &grant))
		return NULL;
	struct chunk *chunk = map_cover(grant.base, pages * PAGE) ? base_take(BASE_CHUNK, NULL) : NULL;
	if (chunk == NULL) {
		return_fresh(pool, &grant, pages * PAGE);
		return NULL;
	}
	chunk_init_odd(chunk, pool, grant.base, pages);
	chunk->decommitted = !grant.committed;
	chunk->pinned = grant.pinned;
	if (!grant.zeroed)
		chunk_set_stale(chunk);
	lock_take(&pool->lock);
	pool->odd_used += pages;
	lock_drop(&pool->lock);
	return chunk;
}

void pool_give_odd(struct pool *pool, struct chunk *chunk) {
	lock_take(&pool->lock);
	note_odd(pool, chunk, true);
	lock_drop(&pool->lock);
}

static struct chunk *oldest_dirty_odd(struct pool *pool, size_t limit) {
	for (struct list *node = pool->odd.prev; node != &pool->odd && pool->odd_dirty != 0;
	     node = node->prev) {
		struct chunk *chunk = container_of(node, struct chunk, link);
		size_t unclean = pool->pages[PAGE_DIRTY] + pool->pages[PAGE_MUZZY];
		if (chunk->run_unclean == 0 || unclean <= limit ||
		    (limit != 0 && chunk->pages > unclean - limit))
			continue;
		note_odd(pool, chunk, false);
		return chunk;
	}
	return NULL;
}

static void purge_odd(struct pool *pool, struct chunk *chunk) {
	if (pool_return_odd(pool, chunk))
		return;
	struct hook_part part = odd_part(chunk);
	chunk->decommitted = hook_decommit(hooked_of(pool), &part);
	chunk->has_stale = !chunk->decommitted && pool_purge_part(pool, &part, false) != PAGE_CLEAN;
	chunk->run_unclean = 0;
	pool_give_odd(pool, chunk);
}

struct chunk *pool_take_odd(struct pool *pool, size_t pages, size_t align) {
	struct chunk *chunk = NULL;
	if (pages >= CHUNK_PAGES) {
		lock_take(&pool->lock);
		chunk = reuse_odd(pool, pages, align);
		lock_drop(&pool->lock);
	}
	bool fresh = chunk == NULL;
	if (fresh)
		chunk = new_odd(pool, pages, align);
	if (chunk == NULL || !chunk->decommitted)
		return chunk;
	struct hook_part part = odd_part(chunk);
	if (hook_commit(hooked_of(pool), &part)) {
		chunk->decommitted = false;
		return chunk;
	}
	if (fresh)
		pool_end_odd(pool, chunk);
	else
		pool_give_odd(pool, chunk);
	return NULL;
}

bool pool_return_odd(struct pool *pool, struct chunk *chunk) {
	if (!hook_dalloc(hooked_of(pool), chunk->base, chunk->pages * PAGE, !chunk->decommitted))
		return false;
	lock_take(&pool->lock);
	pool->odd_used -= chunk->pages;
	lock_drop(&pool->lock);
	base_give(BASE_CHUNK, chunk);
	return true;
}

void pool_end_odd(struct pool *pool, struct chunk *chunk) {
	size_t size = chunk->pages * PAGE;
	if (pool_return_odd(pool, chunk))
		return;
	if (!hook_destroy(hooked_of(pool), chunk->base, size, !chunk->decommitted))
		add_relaxed(&pool->abandoned, size);
	lock_take(&pool->lock);
	pool->odd_used -= chunk->pages;
	lock_drop(&pool->lock);
	base_give(BASE_CHUNK, chunk);
}

/* -- beginning and end ----------------------------------------------------------------------------------------- */

static uintptr_t hint_of(unsigned arena) {
	if (map_home.classes == NULL)
		return range_first_hint;
	return (map_home.first_page << PAGE_SHIFT) + ((size_t)1 << (HOME_SHIFT - 1)) +
	       arena % 4096 * HINT_STEP;
}

struct pool *pool_make(const struct pool_source *source) {
	struct pool *pool = base_take(BASE_POOL, NULL);
	if (pool == NULL)
		return NULL;
	if (!pool->is_private) /* a record that is used again may have readers who found it before */
		pool->is_private = true;
	pool_init(pool, hint_of(source->arena), DECAY_NEVER, 0);
	pool->arena = source->arena;
	pool->common = source->common;
	store_relaxed(&pool->dss, (uint8_t)source->dss);
	store_relaxed(&pool->grow_limit,
	              source->grow_limit != 0 ? source->grow_limit : PAGE_GROW_LIMIT_DEFAULT);
	pool_set_hooks(pool, source->hooks != NULL ? source->hooks : &page_default_hooks);
	return pool;
}

extent_hooks_t *pool_set_hooks(struct pool *pool, extent_hooks_t *hooks) {
	if (hooks != &page_default_hooks)
		store_relaxed(&pool->foreign, true);
	return swap_acq_rel(&pool->hooks, hooks);
}

/* Any range at all, taken out; NULL: the pool is empty. */
static struct chunk *take_any(struct pool *pool) {
	lock_take(&pool->lock);
	struct pool_set *set = pool->unclean.filled != 0 ? &pool->unclean : &pool->clean;
	struct chunk *first = NULL;
	if (set->filled != 0) {
		first = container_of(list_first(&set->bucket[bit_lowest(set->filled)]), struct chunk, link);
		(void)range_cut(pool, first, 0, first->run);
	}
	lock_drop(&pool->lock);
	return first;
}

/* Memory of our own making serves others as it is. */
static void bequeath(struct pool *pool, struct chunk *first, struct pool *heir) {
	size_t count = first->run;
	for (size_t i = 0; i < count; i++)
		store_release(&next_chunk(first, i)->pool, heir);
	sub_relaxed(&pool->mapped, count);
	add_relaxed(&heir->mapped, count);
	pool_give(heir, first, count);
}

static void end_range(struct pool *pool, struct chunk *first) {
	struct hooked hooked = hooked_of(pool);
	uintptr_t base = first->base;
	size_t count = first->run, size = count * CHUNK;
	bool committed = !first->decommitted;
	struct list records;
	range_hide(first, count, &records);
	range_forget(pool, &records);
	if (!hook_dalloc(hooked, base, size, committed) && !hook_destroy(hooked, base, size, committed))
		add_relaxed(&pool->abandoned, size);
}

size_t pool_end(struct pool *pool, struct pool *heir) {
	bool ours = !load_relaxed(&pool->foreign) && heir != NULL;
	struct chunk *first;
	while ((first = take_any(pool)) != NULL) {
		if (ours)
			bequeath(pool, first, heir);
		else
			end_range(pool, first);
	}
	for (;;) {
		lock_take(&pool->lock);
		struct list *node = list_first(&pool->odd);
		first = node == NULL ? NULL : container_of(node, struct chunk, link);
		if (first != NULL)
			note_odd(pool, first, false);
		lock_drop(&pool->lock);
		if (first == NULL)
			break;
		pool_end_odd(pool, first);
	}
	must(load_relaxed(&pool->mapped) == 0 && pool->odd_used == 0, pool);
	size_t abandoned = load_relaxed(&pool->abandoned);
	base_give(BASE_POOL, pool);
	return abandoned;
}
