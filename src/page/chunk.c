/* chunk.c - bookkeeping of the pages of one chunk. */
#include <string.h>
#include "page/page.h"

static void init(struct chunk *chunk, struct pool *pool, uintptr_t base, size_t pages) {
	memset(&chunk->level, 0, sizeof *chunk - offsetof(struct chunk, level));
	store_relaxed(&chunk->state, CHUNK_WHOLE);
	store_release(&chunk->pool, pool); /* after the state: who finds its pool here finds that state */
	list_init(&chunk->link);
	list_init(&chunk->unclean_link);
	chunk->base = base;
	chunk->pages = pages;
	chunk->nfree = chunk->longest = (uint16_t)size_min(pages, CHUNK_PAGES);
	bitmap_set_range(chunk->free, 0, chunk->nfree);
}

void chunk_init(struct chunk *chunk, struct pool *pool, uintptr_t base) {
	init(chunk, pool, base, CHUNK_PAGES);
	chunk->whole = CHUNK_PAGES;
}

void chunk_init_odd(struct chunk *chunk, struct pool *pool, uintptr_t base, size_t pages) {
	init(chunk, pool, base, pages);
	chunk->whole = UINT16_MAX;
}

void chunk_set_clean(struct chunk *chunk) {
	memset(chunk->unclean, 0, sizeof chunk->unclean);
	memset(chunk->count, 0, sizeof chunk->count);
	memset(chunk->stale, 0, sizeof chunk->stale);
	chunk->has_stale = chunk->has_muzzy = false;
}

void chunk_set_stale(struct chunk *chunk) {
	chunk_set_clean(chunk);
	memcpy(chunk->stale, chunk->free, sizeof chunk->stale);
	chunk->has_stale = true;
}

static void mark_used(struct chunk *chunk, unsigned first, unsigned count) {
	bitmap_clear_range(chunk->free, first, count);
	for (int s = 0; s < PAGE_STATES; s++) {
		if (chunk->count[s] == 0)
			continue;
		bool all = chunk->count[s] == chunk->nfree;
		unsigned taken = all ? count : bitmap_count_range(chunk->unclean[s], first, count);
		chunk->count[s] = (uint16_t)(chunk->count[s] - taken);
	}
	chunk->nfree = (uint16_t)(chunk->nfree - count);
}

/* A run among the free pages that were written before: taking them costs no page fault. None also when that goes for
 * all or for none of the free pages, so that there is nothing to choose. */
static unsigned find_unclean(const struct chunk *chunk, unsigned count, unsigned align) {
	unsigned unclean = (unsigned)chunk->count[PAGE_DIRTY] + chunk->count[PAGE_MUZZY];
	if (unclean < count || unclean == chunk->nfree)
		return BITMAP_NONE;
	uint64_t map[CHUNK_WORDS];
	for (unsigned i = 0; i < CHUNK_WORDS; i++)
		map[i] = chunk->free[i] & (chunk->unclean[PAGE_DIRTY][i] | chunk->unclean[PAGE_MUZZY][i]);
	return bitmap_find_run(map, CHUNK_PAGES, count, align, NULL);
}

bool chunk_take(struct chunk *chunk, unsigned count, unsigned align, unsigned *first) {
	unsigned found = find_unclean(chunk, count, align);
	if (found == BITMAP_NONE) {
		unsigned longest;
		found = bitmap_find_run(chunk->free, CHUNK_PAGES, count, align, &longest);
		if (found == BITMAP_NONE) {
			chunk->longest = (uint16_t)longest;
			return false;
		}
	}
	mark_used(chunk, found, count);
	/* was it the longest, and is less than that left? Who asks for such a run again would look in vain. */
	if (chunk->longest < 2 * count &&
	    bitmap_next_clear(chunk->free, CHUNK_PAGES, found + count) - found >= chunk->longest)
		chunk->longest = (uint16_t)bitmap_longest_run(chunk->free, CHUNK_PAGES);
	else if (chunk->longest > chunk->nfree)
		chunk->longest = chunk->nfree;
	*first = found;
	return true;
}

bool chunk_take_at(struct chunk *chunk, unsigned first, unsigned count) {
	unsigned end = first + count;
	if (end > CHUNK_PAGES || bitmap_next_clear(chunk->free, end, first) < end)
		return false;
	mark_used(chunk, first, count);
	if (chunk->longest > chunk->nfree)
		chunk->longest = chunk->nfree;
	return true;
}

bool chunk_is_clean(const struct chunk *chunk, unsigned first, unsigned count) {
	unsigned end = first + count;
	return bitmap_next_set(chunk->unclean[PAGE_DIRTY], end, first) >= end &&
	       (!chunk->has_muzzy || bitmap_next_set(chunk->unclean[PAGE_MUZZY], end, first) >= end) &&
	       (!chunk->has_stale || bitmap_next_set(chunk->stale, end, first) >= end);
}

/* Keep the bitmaps that most chunks have no bit in: with muzzy pages, and with those of private pools. */
static void note_muzzy(struct chunk *chunk, unsigned first, unsigned count, bool muzzy) {
	if (muzzy)
		bitmap_set_range(chunk->unclean[PAGE_MUZZY], first, count);
	else
		bitmap_clear_range(chunk->unclean[PAGE_MUZZY], first, count);
	chunk->has_muzzy = true;
}

static void note_stale(struct chunk *chunk, unsigned first, unsigned count, bool stale) {
	if (stale)
		bitmap_set_range(chunk->stale, first, count);
	else
		bitmap_clear_range(chunk->stale, first, count);
	chunk->has_stale = true;
}

/* Enters free pages into the counts; their state bits are set already. */
static void note_freed(struct chunk *chunk, unsigned count, enum page_state state) {
	chunk->nfree = (uint16_t)(chunk->nfree + count);
	if (state < PAGE_STATES)
		chunk->count[state] = (uint16_t)(chunk->count[state] + count);
}

void chunk_give(struct chunk *chunk, unsigned first, unsigned count, enum page_state state) {
	expect(bitmap_count_range(chunk->free, first, count) == 0);
	bitmap_set_range(chunk->free, first, count);
	if (unlikely(chunk->pinned) && state != PAGE_CLEAN)
		state = PAGE_STALE;
	if (unlikely(chunk->has_stale || state == PAGE_STALE))
		note_stale(chunk, first, count, state == PAGE_STALE);
	if (state == PAGE_DIRTY)
		bitmap_set_range(chunk->unclean[PAGE_DIRTY], first, count);
	else
		bitmap_clear_range(chunk->unclean[PAGE_DIRTY], first, count);
	if (unlikely(chunk->has_muzzy || state == PAGE_MUZZY))
		note_muzzy(chunk, first, count, state == PAGE_MUZZY);
	note_freed(chunk, count, state);
	unsigned start = bitmap_run_start(chunk->free, first);
	unsigned end = bitmap_next_clear(chunk->free, CHUNK_PAGES, first + count);
	if (end - start > chunk->longest)
		chunk->longest = (uint16_t)(end - start);
}

void chunk_give_whole(struct chunk *chunk, enum page_state state) {
	expect(chunk->nfree == CHUNK_PAGES);
	if (state < PAGE_STATES && chunk->count[state] == CHUNK_PAGES)
		return;
	mark_used(chunk, 0, CHUNK_PAGES);
	chunk_give(chunk, 0, CHUNK_PAGES, state);
}

/* How many pages in `state` the OS page [first, first + unit) holds; 0 when part of it is in use. */
static unsigned count_purgeable(const struct chunk *chunk, enum page_state state, unsigned first,
                                unsigned unit) {
	if (bitmap_next_clear(chunk->free, CHUNK_PAGES, first) < first + unit)
		return 0;
	return bitmap_count_range(chunk->unclean[state], first, unit);
}

/* chunk_take_victims where each page is an OS page: word by word. */
static unsigned take_pages(struct chunk *chunk, enum page_state state, unsigned most, uint64_t *victims) {
	unsigned picked = 0;
	for (unsigned i = CHUNK_WORDS; i-- > 0 && picked < most;) {
		uint64_t bits = chunk->free[i] & chunk->unclean[state][i];
		while (picked + bit_count(bits) > most)
			bits &= bits - 1; /* the lowest stay */
		victims[i] = bits;
		chunk->free[i] &= ~bits;
		picked += bit_count(bits);
	}
	chunk->nfree = (uint16_t)(chunk->nfree - picked);
	chunk->count[state] = (uint16_t)(chunk->count[state] - picked);
	return picked;
}

unsigned chunk_take_victims(struct chunk *chunk, enum page_state state, unsigned most, unsigned unit,
                            uint64_t victims[CHUNK_WORDS]) {
	unsigned picked = 0;
	memset(victims, 0, CHUNK_WORDS * sizeof victims[0]);
	if (unit == 1)
		return take_pages(chunk, state, most, victims);
	for (unsigned at = CHUNK_PAGES; at > 0 && picked < most && chunk->count[state] != 0; at -= unit) {
		unsigned first = at - unit;
		if ((chunk->free[first / 64] & chunk->unclean[state][first / 64]) == 0) {
			at = (unsigned)round_down(first, 64) + unit; /* a word without any */
			continue;
		}
		unsigned found = count_purgeable(chunk, state, first, unit);
		if (found == 0)
			continue;
		bitmap_set_range(victims, first, unit);
		picked += found;
		mark_used(chunk, first, unit);
	}
	return picked;
}

void chunk_give_victims(struct chunk *chunk, const uint64_t victims[CHUNK_WORDS], enum page_state state) {
	unsigned first = bitmap_next_set(victims, CHUNK_PAGES, 0);
	while (first < CHUNK_PAGES) {
		unsigned end = bitmap_next_clear(victims, CHUNK_PAGES, first);
		chunk_give(chunk, first, end - first, state);
		first = bitmap_next_set(victims, CHUNK_PAGES, end);
	}
}

void chunk_audit(const struct chunk *chunk) {
	unsigned longest;
	must(bitmap_count_range(chunk->free, 0, CHUNK_PAGES) == chunk->nfree, chunk);
	(void)bitmap_find_run(chunk->free, CHUNK_PAGES, CHUNK_PAGES + 1, 1, &longest);
	must(longest <= chunk->longest, chunk);
	unsigned count[PAGE_STATES] = {0};
	for (unsigned i = 0; i < CHUNK_WORDS; i++) {
		uint64_t dirty = chunk->unclean[PAGE_DIRTY][i], muzzy = chunk->unclean[PAGE_MUZZY][i];
		must((dirty & muzzy) == 0, chunk);
		must((chunk->free[i] & (dirty | muzzy) & chunk->stale[i]) == 0, chunk);
		must(chunk->has_stale || chunk->stale[i] == 0, chunk);
		must(chunk->has_muzzy || muzzy == 0, chunk);
		for (int s = 0; s < PAGE_STATES; s++)
			count[s] += bit_count(chunk->free[i] & chunk->unclean[s][i]);
	}
	for (int s = 0; s < PAGE_STATES; s++)
		must(count[s] == chunk->count[s], chunk);
}
