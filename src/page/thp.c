/* thp.c - transparent huge pages of an arena's chunks.
 *
 *   AS_ALL --some pages are purged, the system makes huge pages of itself--> FORBIDDEN
 *   AS_ALL --dense for a while, huge pages of dense chunks are wanted--> WANTED
 *   FORBIDDEN --dense for a while--> WANTED            WANTED --some pages are purged--> FORBIDDEN
 *   any --wholly free, and purged by the pool, with a fresh mapping--> AS_ALL
 *
 * Why: khugepaged makes a huge page of every 2 MiB in which a single page is resident; what was purged comes back by and
 * by. A chunk that is not AS_ALL is a mapping of its own, so they are counted in pool->moved, and there are never more
 * than pool_allow_move allows: beyond that purging goes on without. Chunks of private pools are their source's business,
 * memory of the break cannot be mapped afresh. */
#include "os/os.h"
#include "page/page.h"
#include "page/inside.h"

/* Chunks of one bucket that are looked at in one go. */
#define TEND_MOST 16

#define SECOND ((uint64_t)1000000000)

static bool is_ours(const struct chunk *chunk) {
	return !load_relaxed(&chunk->pool)->is_private && !os_dss_owns((void *)chunk->base);
}

/* Sets the mark if the mapping may be one of its own. */
static bool set_mark(struct chunk *chunk, enum chunk_thp mark) {
	if (chunk->thp == CHUNK_THP_AS_ALL && !pool_allow_move(load_relaxed(&chunk->pool), 1))
		return false;
	chunk->thp = (uint8_t)mark;
	return true;
}

void thp_before_purge(struct chunk *chunk) {
	if (chunk->thp == CHUNK_THP_FORBIDDEN || (chunk->thp == CHUNK_THP_AS_ALL && !hook_thp_comes()) ||
	    !is_ours(chunk))
		return;
	chunk->dense_since = 0;
	if (set_mark(chunk, CHUNK_THP_FORBIDDEN))
		(void)os_huge_pages((void *)chunk->base, CHUNK, false);
}

/* Has the chunk been dense for long enough? */
static bool is_ready(struct chunk *chunk, uint64_t now) {
	uint32_t second = (uint32_t)(now / SECOND) | 1;
	if ((size_t)(CHUNK_PAGES - chunk->nfree) * PAGE < hook_thp_threshold()) {
		chunk->dense_since = 0;
		return false;
	}
	if (chunk->dense_since == 0)
		chunk->dense_since = second;
	return second - chunk->dense_since >= hook_thp_delay();
}

/* Looks at the first chunks of a bucket, which become its last. Returns how many are to have huge pages. */
static unsigned tend_bucket(struct list *bucket, uint64_t now, uintptr_t chunks[TEND_MOST]) {
	unsigned count = 0;
	const struct list *end = bucket->prev;
	for (unsigned i = 0; i < TEND_MOST && !list_empty(bucket); i++) {
		struct list *node = bucket->next;
		struct chunk *chunk = container_of(node, struct chunk, link);
		list_remove(node);
		list_append(bucket, node);
		bool wanted = chunk->thp == CHUNK_THP_FORBIDDEN ||
		              (chunk->thp == CHUNK_THP_AS_ALL && hook_thp_of_dense());
		if (wanted && is_ours(chunk) && is_ready(chunk, now) && set_mark(chunk, CHUNK_THP_WANTED))
			chunks[count++] = chunk->base;
		if (node == end)
			break;
	}
	return count;
}

/* Dense chunks are in one of the two uppermost levels: full ones each time, of the others a bucket at a time. */
void thp_tend(struct pages *pages, uint64_t now) {
	if (!hook_thp_comes() && !hook_thp_of_dense())
		return;
	uintptr_t chunks[2 * TEND_MOST];
	unsigned count = tend_bucket(&pages->bucket[PAGES_LEVELS - 1][PAGES_FULL], now, chunks);
	pages->tended = (pages->tended + 1) % (2 * PAGES_BUCKETS);
	unsigned level = PAGES_LEVELS - 1 - pages->tended / PAGES_BUCKETS;
	count += tend_bucket(&pages->bucket[level][pages->tended % PAGES_BUCKETS], now, chunks + count);
	if (count == 0)
		return;
	lock_drop(&pages->lock);
	for (unsigned i = 0; i < count; i++)
		hook_thp_make(chunks[i]);
	lock_take(&pages->lock);
}
