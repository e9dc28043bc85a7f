/* purge.c - unused pages of an arena go back to the system along the curve.
 *
 *   dirty --(muzzy_decay_ms > 0: MADV_FREE)--> muzzy --(MADV_DONTNEED)--> clean
 *     \--------------(muzzy_decay_ms == 0: MADV_DONTNEED)---------------------^
 *
 * Wholly free chunks first, then the emptiest, so that whole chunks come free and full ones keep their warm pages. A batch
 * is pages of up to BATCH_CHUNKS chunks:
 *
 *   lock      victims are picked, chunk after chunk, and marked used
 *   no lock   runs of victims become ranges, RANGES of which go to the system together
 *   lock      victims are free again, in their new state
 *
 * The lock is dropped after each chunk, too: nobody waits for more than one. */
#include "os/os.h"
#include "page/page.h"
#include "page/inside.h"

#define BATCH_CHUNKS 8
#define RANGES       128

struct victims {
	struct chunk *chunk;
	unsigned count;        /* pages that were in the state that is purged */
	enum page_state state; /* all of them are in then */
	uint64_t map[CHUNK_WORDS];
};

struct batch {
	enum page_state from, to;
	size_t calls;
	unsigned count; /* of victims[] */
	struct victims victims[BATCH_CHUNKS];
};

/* Where pages in `state` go, given the decay times. */
static enum page_state next_state(struct pages *pages, enum page_state state) REQUIRES(pages->lock) {
	return state == PAGE_DIRTY && load_relaxed(&pages->decay[PAGE_MUZZY].ms) != 0 ? PAGE_MUZZY
	                                                                              : PAGE_CLEAN;
}

/* The next chunk of a level that this pass has not visited, or NULL. Visited ones go to the end of the list, new ones
 * come to its front, so that the first one visited ends the search. */
static struct chunk *next_of_level(struct pages *pages, unsigned level) REQUIRES(pages->lock) {
	struct list *first = list_first(&pages->unclean[level]);
	if (first == NULL)
		return NULL;
	struct chunk *chunk = container_of(first, struct chunk, unclean_link);
	if (chunk->pass == pages->pass)
		return NULL;
	chunk->pass = pages->pass;
	list_remove(first);
	list_append(&pages->unclean[level], first);
	return chunk;
}

/* The emptiest chunk with free pages in `state` that this pass has not visited. */
static struct chunk *emptiest(struct pages *pages, enum page_state state) REQUIRES(pages->lock) {
	struct chunk *spare = pages->spare;
	if (spare != NULL && spare->pass != pages->pass && spare->count[state] != 0) {
		spare->pass = pages->pass;
		list_remove(&spare->unclean_link);
		list_append(&pages->unclean[spare->level], &spare->unclean_link);
		return spare;
	}
	for (unsigned level = 0; level < PAGES_LEVELS; level++) {
		struct chunk *chunk;
		while ((chunk = next_of_level(pages, level)) != NULL)
			if (chunk->count[state] != 0)
				return chunk;
	}
	return NULL;
}

/* What can be said of pages of both states. */
static enum page_state common_state(enum page_state a, enum page_state b) {
	if (a == PAGE_STALE || b == PAGE_STALE)
		return PAGE_STALE;
	return a < b ? a : b;
}

/* An odd chunk without blocks goes back to its source. False: that declined, the chunk is as it was. */
static bool return_odd(struct pages *pages, struct chunk *chunk, enum page_state state)
	REQUIRES(pages->lock) {
	pages_note(pages, chunk, false);
	(void)chunk_take_at(chunk, 0, (unsigned)chunk->pages);
	pages_note(pages, chunk, true);
	pages_unlist(pages, chunk);
	lock_drop(&pages->lock);
	bool done = pool_return_odd(load_relaxed(&chunk->pool), chunk);
	lock_take(&pages->lock);
	if (done) {
		pages->owned -= chunk->pages;
		return true;
	}
	(void)pages_give_run(pages, chunk, 0, (unsigned)chunk->pages, state);
	return false;
}

/* Picks up to `most` pages of the chunk. */
static void pick(struct pages *pages, struct chunk *chunk, size_t most, struct batch *batch)
	REQUIRES(pages->lock) {
	unsigned unit = (unsigned)(os.page_size / PAGE);
	if (chunk_is_odd(chunk) && chunk->nfree == chunk->pages && return_odd(pages, chunk, batch->from))
		return;
	struct victims *victims = &batch->victims[batch->count];
	pages_note(pages, chunk, false);
	victims->count = chunk_take_victims(chunk, batch->from, (unsigned)size_min(most, CHUNK_PAGES), unit,
	                                    victims->map);
	pages_note(pages, chunk, true);
	if (victims->count == 0)
		return;
	(void)pages_settle(pages, chunk);
	victims->chunk = chunk;
	victims->state = batch->to;
	pages->leaving += victims->count;
	batch->count++;
}

/* Picks victims until no more than `limit` pages are left in the state. Sets *more when chunks remain to be visited. */
static void pick_batch(struct pages *pages, size_t limit, struct batch *batch, bool *more)
	REQUIRES(pages->lock) {
	*more = true;
	while (batch->count < BATCH_CHUNKS && pages->pages[batch->from] > limit) {
		struct chunk *chunk = emptiest(pages, batch->from);
		if (chunk == NULL) {
			*more = false;
			return;
		}
		pick(pages, chunk, pages->pages[batch->from] - limit, batch);
		lock_drop(&pages->lock);
		lock_take(&pages->lock);
	}
}

/* The runs of a private pool's chunk are purged by its hooks, one by one. */
static void purge_by_hooks(struct victims *victims, struct batch *batch) {
	struct chunk *chunk = victims->chunk;
	unsigned first = bitmap_next_set(victims->map, CHUNK_PAGES, 0);
	while (first < CHUNK_PAGES) {
		unsigned end = bitmap_next_clear(victims->map, CHUNK_PAGES, first);
		struct hook_part part = {chunk->base, chunk->pages * PAGE, (size_t)first * PAGE,
		                         (size_t)(end - first) * PAGE};
		enum page_state got =
			pool_purge_part(load_relaxed(&chunk->pool), &part, batch->to == PAGE_MUZZY);
		victims->state = common_state(victims->state, got);
		batch->calls++;
		first = bitmap_next_set(victims->map, CHUNK_PAGES, end);
	}
}

/* Purges the ranges; chunks of those that are refused keep their pages' state. */
static void purge_ranges(struct batch *batch, const struct os_range *ranges, size_t count) {
	for (size_t done = 0; done < count; done++) {
		done += os_purge_ranges(ranges + done, count - done, batch->to == PAGE_MUZZY, &batch->calls);
		if (done == count)
			return;
		batch->calls++;
		for (unsigned i = 0; i < batch->count; i++)
			if ((uintptr_t)ranges[done].addr - batch->victims[i].chunk->base < CHUNK)
				batch->victims[i].state = batch->from;
	}
}

static void purge_batch(struct batch *batch) {
	struct os_range ranges[RANGES];
	size_t count = 0;
	for (unsigned i = 0; i < batch->count; i++) {
		struct victims *victims = &batch->victims[i];
		if (load_relaxed(&victims->chunk->pool)->is_private) {
			purge_by_hooks(victims, batch);
			continue;
		}
		thp_before_purge(victims->chunk);
		unsigned first = bitmap_next_set(victims->map, CHUNK_PAGES, 0);
		while (first < CHUNK_PAGES) {
			unsigned end = bitmap_next_clear(victims->map, CHUNK_PAGES, first);
			uintptr_t base = victims->chunk->base;
			ranges[count++] = (struct os_range){(void *)(base + (size_t)first * PAGE),
			                                    (size_t)(end - first) * PAGE};
			if (count == RANGES) {
				purge_ranges(batch, ranges, count);
				count = 0;
			}
			first = bitmap_next_set(victims->map, CHUNK_PAGES, end);
		}
	}
	purge_ranges(batch, ranges, count);
}

/* -- pages inside spans ---------------------------------------------------------------------------------------- */

bool page_is_foreign(const struct span *span) {
	return load_relaxed(&span->chunk->pool)->is_private;
}

/* The i-th range is of holes[of[i]]. */
static void purge_hole_ranges(struct page_hole *holes, const uint16_t *of, const struct os_range *ranges,
                              size_t count) {
	size_t calls = 0;
	for (size_t done = 0; done < count; done++) {
		done += os_purge_ranges(ranges + done, count - done, false, &calls);
		if (done < count)
			holes[of[done]].refused = true;
	}
}

void page_purge_holes(struct page_hole *holes, size_t count) {
	struct os_range ranges[RANGES];
	uint16_t of[RANGES];
	size_t filled = 0;
	for (size_t i = 0; i < count; i++) {
		const struct span *span = holes[i].span;
		thp_before_purge(span->chunk);
		for (uint64_t left = holes[i].pages; left != 0;) {
			unsigned first = bit_lowest(left), run = bit_lowest(~(left >> first));
			left &= ~((((uint64_t)1 << run) - 1) << first);
			of[filled] = (uint16_t)i;
			ranges[filled++] = (struct os_range){(void *)(span->base + first * PAGE), run * PAGE};
		}
		if (filled + 8 > RANGES || i + 1 == count) {
			purge_hole_ranges(holes, of, ranges, filled);
			filled = 0;
		}
	}
}

/* -- along the curve ------------------------------------------------------------------------------------------- */

/* Victims come free again; a chunk that is wholly free then goes to the pool. */
static void give_victims(struct pages *pages, const struct victims *victims, enum page_state from)
	REQUIRES(pages->lock) {
	struct chunk *chunk = victims->chunk;
	pages_note(pages, chunk, false);
	chunk_give_victims(chunk, victims->map, victims->state);
	pages_note(pages, chunk, true);
	struct chunk *whole = pages_settle(pages, chunk);
	pages->purged[from] += victims->state != from ? victims->count : 0;
	pages->leaving -= victims->count;
	growth_note_less(pages);
	lock_drop(&pages->lock);
	if (whole != NULL)
		pool_give(load_relaxed(&whole->pool), whole, 1);
	lock_take(&pages->lock);
}

/* Purges until at most `limit` pages are in `state`, visiting each chunk once. */
static void purge_to(struct pages *pages, enum page_state state, size_t limit) REQUIRES(pages->lock) {
	pages->pass++;
	pages->passes[state]++;
	for (bool more = true; more && pages->pages[state] > limit;) {
		struct batch batch = {.from = state, .to = next_state(pages, state)};
		pick_batch(pages, limit, &batch, &more);
		if (batch.count == 0)
			continue;
		lock_drop(&pages->lock);
		purge_batch(&batch);
		lock_take(&pages->lock);
		pages->purges[state] += batch.calls;
		for (unsigned i = 0; i < batch.count; i++)
			give_victims(pages, &batch.victims[i], state);
	}
}

/* In an arena with a source of its own the chunk that is kept goes to the pool: whole, it can go further. */
static void give_spare(struct pages *pages) REQUIRES(pages->lock) {
	struct chunk *spare = pages->spare;
	if (spare == NULL || !load_relaxed(&spare->pool)->is_private)
		return;
	pages_drop_spare(pages);
	lock_drop(&pages->lock);
	pool_give(load_relaxed(&spare->pool), spare, 1);
	lock_take(&pages->lock);
}

void page_decay(struct pages *pages, uint64_t now, bool all) {
	struct pool *pool = load_acquire(&pages->pool);
	lock_take(&pages->lock);
	if (all)
		give_spare(pages);
	for (int s = 0; s < PAGE_STATES; s++) {
		size_t limit = all ? 0 : decay_limit(&pages->decay[s], now, pages->pages[s]);
		if (limit >= pages->pages[s])
			continue;
		give_spare(pages);
		purge_to(pages, (enum page_state)s, limit);
		decay_note_left(&pages->decay[s], pages->pages[s]);
	}
	thp_tend(pages, now);
	lock_drop(&pages->lock);
	if (pool->is_private)
		pool_decay(pool, now, all);
}

static _Atomic(bool) at_once; /* [atomic] */

bool page_purges_at_once(void) {
	return load_relaxed(&at_once);
}

STARTUP void page_note_decay(enum page_state state, int64_t ms) {
	if (state == PAGE_DIRTY && ms == 0)
		store_relaxed(&at_once, true);
}

void page_set_decay(struct pages *pages, enum page_state state, int64_t ms, uint64_t now) {
	page_note_decay(state, ms);
	lock_take(&pages->lock);
	decay_set(&pages->decay[state], ms, now);
	lock_drop(&pages->lock);
	struct pool *pool = load_acquire(&pages->pool);
	if (pool->is_private && state == PAGE_DIRTY)
		pool_set_decay(pool, ms, now);
}
