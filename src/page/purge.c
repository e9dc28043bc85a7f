/* purge.c - unused pages of an arena go back to the system along the curve.
 *
 *   dirty --(muzzy_decay_ms > 0: MADV_FREE)--> muzzy --(MADV_DONTNEED)--> clean
 *     \--------------(muzzy_decay_ms == 0: MADV_DONTNEED)---------------------^
 *
 * Emptiest chunks first, so that whole chunks come free and full ones keep their warm pages. The pages being purged are
 * marked used and the lock is dropped around the system calls. */
#include "os/os.h"
#include "page/page.h"
#include "page/inside.h"

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
	for (unsigned level = 0; level < PAGES_LEVELS; level++) {
		struct chunk *chunk;
		while ((chunk = next_of_level(pages, level)) != NULL)
			if (chunk->count[state] != 0)
				return chunk;
	}
	return NULL;
}

/* Has one run purged, to the state wanted if possible. Returns the state it is in then. */
static enum page_state purge_run(struct chunk *chunk, unsigned first, unsigned count, enum page_state from,
                                 enum page_state to) {
	void *addr = (void *)(chunk->base + (size_t)first * PAGE);
	size_t size = (size_t)count * PAGE;
	struct pool *pool = load_relaxed(&chunk->pool);
	if (pool->is_private) {
		struct hook_part part = {chunk->base, chunk->pages * PAGE, (size_t)first * PAGE, size};
		return pool_purge_part(pool, &part, to == PAGE_MUZZY);
	}
	if (to == PAGE_MUZZY && os_purge_lazy(addr, size) == 0)
		return to;
	return os_purge(addr, size) == 0 ? to : from;
}

/* What can be said of pages of both states. */
static enum page_state common_state(enum page_state a, enum page_state b) {
	if (a == PAGE_STALE || b == PAGE_STALE)
		return PAGE_STALE;
	return a < b ? a : b;
}

/* One call per run of victims. Returns the number of calls; *to becomes the state all are in. */
static unsigned purge_runs(struct chunk *chunk, const uint64_t *victims, enum page_state from,
                           enum page_state *to) {
	enum page_state wanted = *to;
	unsigned calls = 0, first = bitmap_next_set(victims, CHUNK_PAGES, 0);
	while (first < CHUNK_PAGES) {
		unsigned end = bitmap_next_clear(victims, CHUNK_PAGES, first);
		enum page_state got = purge_run(chunk, first, end - first, from, wanted);
		*to = calls++ == 0 ? got : common_state(*to, got);
		first = bitmap_next_set(victims, CHUNK_PAGES, end);
	}
	return calls;
}

/* An odd chunk without blocks goes back to its source. False: that declined, the chunk is as it was. */
static bool return_odd(struct pages *pages, struct chunk *chunk, enum page_state state)
	REQUIRES(pages->lock) {
	pages_note(pages, chunk, false);
	(void)chunk_take_at(chunk, 0, (unsigned)chunk->pages);
	pages_note(pages, chunk, true);
	pages_list(pages, chunk);
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

/* Purges up to `most` pages of one chunk; takes and drops the lock on the way. */
static void purge_chunk(struct pages *pages, struct chunk *chunk, enum page_state state, size_t most)
	REQUIRES(pages->lock) {
	uint64_t victims[CHUNK_WORDS];
	unsigned unit = (unsigned)(os.page_size / PAGE);
	if (chunk_is_odd(chunk) && chunk->nfree == chunk->pages && return_odd(pages, chunk, state))
		return;
	pages_note(pages, chunk, false);
	unsigned count =
		chunk_take_victims(chunk, state, (unsigned)size_min(most, CHUNK_PAGES), unit, victims);
	pages_note(pages, chunk, true);
	if (count == 0)
		return;
	(void)pages_settle(pages, chunk);
	enum page_state to = next_state(pages, state);
	lock_drop(&pages->lock);
	unsigned calls = purge_runs(chunk, victims, state, &to);
	lock_take(&pages->lock);
	pages_note(pages, chunk, false);
	chunk_give_victims(chunk, victims, to);
	pages_note(pages, chunk, true);
	struct chunk *whole = pages_settle(pages, chunk);
	pages->purged[state] += to != state ? count : 0;
	pages->purges[state] += calls;
	growth_note_less(pages);
	if (whole != NULL) {
		lock_drop(&pages->lock);
		pool_give(load_relaxed(&whole->pool), whole, 1);
		lock_take(&pages->lock);
	}
}

/* Purges until at most `limit` pages are in `state`, visiting each chunk once. */
static void purge_to(struct pages *pages, enum page_state state, size_t limit) REQUIRES(pages->lock) {
	pages->pass++;
	pages->passes[state]++;
	while (pages->pages[state] > limit) {
		struct chunk *chunk = emptiest(pages, state);
		if (chunk == NULL)
			return;
		purge_chunk(pages, chunk, state, pages->pages[state] - limit);
	}
}

/* In an arena with a source of its own the chunk that is kept goes to the pool: whole, it can go further. */
static void give_spare(struct pages *pages) REQUIRES(pages->lock) {
	struct chunk *spare = pages->spare;
	if (spare == NULL || !load_relaxed(&spare->pool)->is_private)
		return;
	pages->spare = NULL;
	pages_unlist(pages, spare);
	pages_note(pages, spare, false);
	pages->owned -= CHUNK_PAGES;
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
	lock_drop(&pages->lock);
	if (pool->is_private)
		pool_decay(pool, now, all);
}

static _Atomic(bool) at_once; /* [atomic] */

bool page_purges_at_once(void) {
	return load_relaxed(&at_once);
}

void page_note_decay(enum page_state state, int64_t ms) {
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
