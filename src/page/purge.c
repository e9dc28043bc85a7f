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

/* One system call per run of victims. Returns the number of calls; *done is false when one was refused. */
static unsigned purge_runs(const struct chunk *chunk, const uint64_t *victims, enum page_state to,
                           bool *done) {
	unsigned calls = 0, first = bitmap_next_set(victims, CHUNK_PAGES, 0);
	*done = true;
	while (first < CHUNK_PAGES) {
		unsigned end = bitmap_next_clear(victims, CHUNK_PAGES, first);
		void *addr = (void *)(chunk->base + (size_t)first * PAGE);
		size_t size = (size_t)(end - first) * PAGE;
		*done &= (to == PAGE_MUZZY && os_purge_lazy(addr, size) == 0) || os_purge(addr, size) == 0;
		calls++;
		first = bitmap_next_set(victims, CHUNK_PAGES, end);
	}
	return calls;
}

/* Purges up to `most` pages of one chunk; takes and drops the lock on the way. */
static void purge_chunk(struct pages *pages, struct chunk *chunk, enum page_state state, size_t most)
	REQUIRES(pages->lock) {
	uint64_t victims[CHUNK_WORDS];
	unsigned unit = (unsigned)(os.page_size / PAGE);
	pages_note(pages, chunk, false);
	unsigned count =
		chunk_take_victims(chunk, state, (unsigned)size_min(most, CHUNK_PAGES), unit, victims);
	pages_note(pages, chunk, true);
	if (count == 0)
		return;
	(void)pages_settle(pages, chunk);
	enum page_state to = next_state(pages, state);
	bool done;
	lock_drop(&pages->lock);
	unsigned calls = purge_runs(chunk, victims, to, &done);
	lock_take(&pages->lock);
	pages_note(pages, chunk, false);
	chunk_give_victims(chunk, victims, done ? to : state);
	pages_note(pages, chunk, true);
	struct chunk *whole = pages_settle(pages, chunk);
	pages->purged[state] += done ? count : 0;
	pages->purges[state] += calls;
	if (whole != NULL) {
		lock_drop(&pages->lock);
		pool_give(load_relaxed(&whole->pool), whole, 1);
		lock_take(&pages->lock);
	}
}

/* Purges until at most `limit` pages are in `state`, visiting each chunk once. */
static void purge_to(struct pages *pages, enum page_state state, size_t limit) REQUIRES(pages->lock) {
	pages->pass++;
	while (pages->pages[state] > limit) {
		struct chunk *chunk = emptiest(pages, state);
		if (chunk == NULL)
			return;
		purge_chunk(pages, chunk, state, pages->pages[state] - limit);
	}
}

void page_decay(struct pages *pages, uint64_t now, bool all) {
	lock_take(&pages->lock);
	for (int s = 0; s < PAGE_STATES; s++) {
		size_t limit = all ? 0 : decay_limit(&pages->decay[s], now, pages->pages[s]);
		if (limit >= pages->pages[s])
			continue;
		purge_to(pages, (enum page_state)s, limit);
		decay_note_left(&pages->decay[s], pages->pages[s]);
	}
	lock_drop(&pages->lock);
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
}
