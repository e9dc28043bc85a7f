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

static unsigned state_of(const struct chunk *chunk, unsigned page) {
	if (bitmap_get(chunk->unclean[PAGE_DIRTY], page))
		return EXTENT_DIRTY;
	if (bitmap_get(chunk->unclean[PAGE_MUZZY], page))
		return EXTENT_MUZZY;
	return chunk->pinned ? EXTENT_PINNED : EXTENT_RETAINED;
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

static void run_through(struct run *run, const struct chunk *chunk) {
	unsigned page = 0;
	while (page < CHUNK_PAGES) {
		unsigned first = bitmap_next_set(chunk->free, CHUNK_PAGES, page);
		if (first > page)
			run_end(run);
		unsigned end = bitmap_next_clear(chunk->free, CHUNK_PAGES, first);
		for (page = first; page < end; page++)
			run_add(run, state_of(chunk, page), 1);
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
	lock_take(&pool->lock);
	for (unsigned s = 0; s < COUNT_OF(sets); s++)
		for (unsigned b = 0; b < POOL_BUCKETS; b++)
			list_each (&sets[s]->bucket[b], node)
				note_range(container_of(node, struct chunk, link), out);
	list_each (&pool->odd, node) {
		const struct chunk *chunk = container_of(node, struct chunk, link);
		unsigned state = chunk->run_unclean != 0 ? EXTENT_DIRTY
		                 : chunk->pinned         ? EXTENT_PINNED
		                                         : EXTENT_RETAINED;
		note_run(out, state, chunk->pages);
	}
	lock_drop(&pool->lock);
}

static void each_listed(struct pages *pages, void (*note)(const struct chunk *, struct page_extent_stats *),
                        struct page_extent_stats *out) REQUIRES(pages->lock) {
	for (unsigned level = 0; level < PAGES_LEVELS; level++)
		for (unsigned b = 0; b < PAGES_BUCKETS; b++)
			list_each (&pages->bucket[level][b], node)
				note(container_of(node, struct chunk, link), out);
}

void page_read_extents(struct pages *pages, struct page_extent_stats out[PAGE_CLASSES]) {
	lock_take(&pages->lock);
	each_listed(pages, note_chunk_runs, out);
	lock_drop(&pages->lock);
	struct pool *pool = load_acquire(&pages->pool);
	if (pool->is_private)
		pool_read_extents(pool, out);
}

/* -- sums ------------------------------------------------------------------------------------------------------ */

static void note_pinned(const struct chunk *chunk, struct page_extent_stats *out) {
	out->bytes[EXTENT_PINNED] += chunk->pinned ? chunk->nfree * PAGE : 0;
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
	struct page_extent_stats pinned = {.count = {0}};
	lock_take(&pages->lock);
	struct page_stats stats = {
		.active = pages->active,
		.dirty = pages->pages[PAGE_DIRTY],
		.muzzy = pages->pages[PAGE_MUZZY],
	};
	if (load_relaxed(&pool->foreign)) /* only there can be pinned memory */
		each_listed(pages, note_pinned, &pinned);
	stats.pinned = pinned.bytes[EXTENT_PINNED];
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
