/* ranges.h - what pool.c and private.c share; nobody else includes it. A range is pooled chunks that touch; the pool lock
 * is held where it says so. */
#ifndef ASHLAR_PAGE_RANGES_H
#define ASHLAR_PAGE_RANGES_H

#include "page/pool.h"

#define RANGE_NOWHERE SIZE_MAX

static inline struct chunk *next_chunk(const struct chunk *chunk, size_t steps) {
	return map_chunk(chunk->base + steps * CHUNK);
}

/* The chunk at `base` if it is pooled here, else NULL / first chunk of the range that ends at `end`, or NULL. */
struct chunk *range_chunk(const struct pool *pool, uintptr_t base) REQUIRES(pool->lock);
struct chunk *range_ending_at(const struct pool *pool, uintptr_t end) REQUIRES(pool->lock);

/* Best range that holds `count` aligned chunks, resident ones first; NULL: none / where in it: an offset in chunks. */
struct chunk *range_find(const struct pool *pool, size_t count, size_t align) REQUIRES(pool->lock);
size_t range_fit(const struct chunk *first, size_t count, size_t align);

/* Past its last unclean chunk; 0: there is none / where the unclean chunks before `end` begin, of at most `most`. */
size_t range_unclean_end(const struct chunk *first);
size_t range_unclean_start(const struct chunk *first, size_t end, size_t most);

/* Cuts [at, at + count) chunks out of the range; what is left of it stays pooled. */
struct chunk *range_cut(struct pool *pool, struct chunk *first, size_t at, size_t count) REQUIRES(pool->lock);
/* Enters taken chunks as a range of their own, whatever they touch. */
void range_enter(struct pool *pool, struct chunk *first, size_t count) REQUIRES(pool->lock);

/* Makes records of fresh, clean chunks, taken. False: no memory, or somebody has such chunks already. No lock needed:
 * they are the caller's. */
bool range_record(struct pool *pool, uintptr_t base, size_t count);
/* Taken chunks that may go away leave the page map first: once they have, their addresses may be anybody's. The records
 * are kept in a list until one knows: shown again, or forgotten. */
void range_hide(struct chunk *first, size_t count, struct list *records);
void range_show(struct list *records);
void range_forget(struct pool *pool, struct list *records);

extern HIDDEN uintptr_t range_first_hint; /* of the first pool that had one   [const after start] */

/* Maps by the preference of the pool, near the mapping before. */
bool pool_map(struct pool *pool, size_t count, size_t align, uintptr_t *base) REQUIRES(pool->lock);

/* What pool_take, pool_take_at, pool_give and pool_decay do in a private pool. */
struct chunk *private_take(struct pool *pool, size_t count, size_t align);
bool private_take_at(struct pool *pool, uintptr_t base, size_t count);
void private_give(struct pool *pool, struct chunk *first, size_t count);
void private_purge(struct pool *pool, size_t limit) REQUIRES(pool->lock);

#endif
