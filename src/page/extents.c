/* extents.c - statistics of an arena's pages, and its free runs by size. */
#include <string.h>
#include "page/page.h"
#include "page/inside.h"
#include "page/ranges.h"

/* -- page size classes ----------------------------------------------------------------------------------------- */

/* 1, 2, 3, 4, then four per doubling. */
unsigned page_class_of(size_t pages) {
	if (pages <= 4)
		return (unsigned)pages - 1;
	unsigned lg = bit_highest(pages);
	unsigned index = 3 + (lg - 2) * 4 + ((pages >> (lg - 2)) & 3);
	return index < PAGE_CLASSES ? index : PAGE_CLASSES - 1;
}

size_t page_class_pages(unsigned index) {
	if (index < 4)
		return index + 1;
	unsigned lg = (index - 3) / 4 + 2;
	return (size_t)(4 + (index - 3) % 4) << (lg - 2);
}

/* -- free runs ------------------------------------------------------------------------------------------------- */

static void note_run(struct page_extent_stats *out, unsigned state, size_t pages) {
	struct page_extent_stats *row = &out[page_class_of(pages)];
	row->count[state]++;
	row->bytes[state] += pages * PAGE;
}

/* A run that is being followed through chunks. */
struct run {
	struct page_extent_stats *out;
	unsigned state;
	size_t pages;
};

static void run_end(struct run *run) {
	if (run->pages != 0)
		note_run(run->out, run->state, run->pages);
	run->pages = 0;
}

static void run_add(struct run *run, unsigned state, size_t pages) {
	if (run->state != state)
		run_end(run);
	run->state = state;
	run->pages += pages;
}

/* The pages of a chunk that are free in a state. */
static void state_map(const struct chunk *chunk, unsigned state, uint64_t map[CHUNK_WORDS]) {
	for (unsigned i = 0; i < CHUNK_WORDS; i++) {
		uint64_t dirty = chunk->unclean[PAGE_DIRTY][i], muzzy = chunk->unclean[PAGE_MUZZY][i];
		uint64_t clean = ~(dirty | muzzy);
		map[i] = chunk->free[i] & (state == EXTENT_DIRTY   ? dirty
		                           : state == EXTENT_MUZZY ? muzzy
		                                                   : clean);
	}
}

static void run_through(struct run *run, const struct chunk *chunk) {
	uint64_t map[EXTENT_STATES][CHUNK_WORDS];
	const unsigned states[] = {EXTENT_DIRTY, EXTENT_MUZZY,
	                           chunk->pinned ? EXTENT_PINNED : EXTENT_RETAINED};
	for (unsigned i = 0; i < COUNT_OF(states); i++)
		state_map(chunk, states[i], map[states[i]]);
	for (unsigned page = 0; page < CHUNK_PAGES;) {
		unsigned first = bitmap_next_set(chunk->free, CHUNK_PAGES, page), i = 0;
		if (first > page)
			run_end(run);
		if (first == CHUNK_PAGES)
			return;
		while (i + 1 < COUNT_OF(states) && !bitmap_get(map[states[i]], first))
			i++;
		page = bitmap_next_clear(map[states[i]], CHUNK_PAGES, first);
		run_add(run, states[i], page - first);
	}
}

/* Whole chunks are mostly in one state. */
static unsigned whole_state(const struct chunk *chunk) {
	for (unsigned s = 0; s < PAGE_STATES; s++)
		if (chunk->count[s] == CHUNK_PAGES)
			return s == PAGE_DIRTY ? EXTENT_DIRTY : EXTENT_MUZZY;
	if (chunk->count[PAGE_DIRTY] + chunk->count[PAGE_MUZZY] != 0)
		return EXTENT_STATES;
	return chunk->pinned ? EXTENT_PINNED : EXTENT_RETAINED;
}

static void note_chunk_runs(const struct chunk *chunk, struct page_extent_stats *out) {
	struct run run = {.out = out};
	run_through(&run, chunk);
	run_end(&run);
}

static void note_range(struct chunk *first, struct page_extent_stats *out) {
	struct run run = {.out = out};
	for (size_t i = 0; i < first->run; i++) {
		const struct chunk *chunk = next_chunk(first, i);
		unsigned state = whole_state(chunk);
		if (state == EXTENT_STATES)
			run_through(&run, chunk);
		else
			run_add(&run, state, CHUNK_PAGES);
	}
	run_end(&run);
}

void pool_read_extents(struct pool *pool, struct page_extent_stats out[PAGE_CLASSES]) {
	struct pool_set *sets[] = {&pool->unclean, &pool->clean};
	for (unsigned i = 0; i < COUNT_OF(sets) * POOL_BUCKETS; i++) {
		lock_take(&pool->lock);
		list_each (&sets[i / POOL_BUCKETS]->bucket[i % POOL_BUCKETS], node)
			note_range(container_of(node, struct chunk, link), out);
		lock_drop(&pool->lock);
	}
	lock_take(&pool->lock);
	list_each (&pool->odd, node) {
		const struct chunk *chunk = container_of(node, struct chunk, link);
		unsigned state = chunk->run_unclean != 0 ? EXTENT_DIRTY
		                 : chunk->pinned         ? EXTENT_PINNED
		                                         : EXTENT_RETAINED;
		note_run(out, state, chunk->pages);
	}
	lock_drop(&pool->lock);
}

void page_read_extents(struct pages *pages, struct page_extent_stats out[PAGE_CLASSES]) {
	for (unsigned i = 0; i < PAGES_LEVELS * PAGES_BUCKETS; i++) {
		lock_take(&pages->lock);
		list_each (&pages->bucket[i / PAGES_BUCKETS][i % PAGES_BUCKETS], node)
			note_chunk_runs(container_of(node, struct chunk, link), out);
		lock_drop(&pages->lock);
	}
	struct pool *pool = load_acquire(&pages->pool);
	if (pool->is_private)
		pool_read_extents(pool, out);
}

/* -- sums ------------------------------------------------------------------------------------------------------ */

/* Bytes of free pages that are never purged. */
static size_t count_pinned(struct pages *pages) REQUIRES(pages->lock) {
	size_t sum = 0;
	for (unsigned i = 0; i < PAGES_LEVELS * PAGES_BUCKETS; i++) {
		list_each (&pages->bucket[i / PAGES_BUCKETS][i % PAGES_BUCKETS], node) {
			const struct chunk *chunk = container_of(node, struct chunk, link);
			sum += chunk->pinned ? chunk->nfree * PAGE : 0;
		}
	}
	return sum;
}

static void add_pool(struct page_stats *stats, struct pool *pool) {
	struct pool_stats own = pool_read_stats(pool);
	size_t unclean = own.dirty;
	stats->dirty += own.dirty_pages;
	stats->muzzy += own.muzzy_pages;
	stats->pinned += own.pinned;
	stats->retained += own.pooled - unclean - own.pinned;
	stats->mapped += unclean + own.pinned;
	stats->abandoned += own.abandoned;
	stats->purged[PAGE_DIRTY] += own.purged;
	stats->purges[PAGE_DIRTY] += own.purges;
	stats->passes[PAGE_DIRTY] += own.passes;
}

RACY size_t page_peek_active(const struct pages *pages) {
	return pages->active;
}

struct page_stats page_read_stats(struct pages *pages) {
	struct pool *pool = load_acquire(&pages->pool);
	lock_take(&pages->lock);
	struct page_stats stats = {
		.active = pages->active,
		.dirty = pages->pages[PAGE_DIRTY],
		.muzzy = pages->pages[PAGE_MUZZY],
	};
	if (load_relaxed(&pool->foreign)) /* only there can be pinned memory */
		stats.pinned = count_pinned(pages);
	stats.retained = (pages->owned - stats.active - stats.dirty - stats.muzzy) * PAGE - stats.pinned;
	stats.mapped = pages->owned * PAGE - stats.retained;
	memcpy(stats.purged, pages->purged, sizeof stats.purged);
	memcpy(stats.purges, pages->purges, sizeof stats.purges);
	memcpy(stats.passes, pages->passes, sizeof stats.passes);
	lock_drop(&pages->lock);
	if (pool->is_private)
		add_pool(&stats, pool);
	return stats;
}
