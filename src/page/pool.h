/* pool.h - whole free chunks of the process, shared by all arenas: memory freed in one serves another.
 *
 * Free chunks that touch form one range. A range is in one of two sets, unclean (some page may be resident)
 * or clean, and there in a list by its length:
 *
 *      set     bucket 0  1  2 ... 7   8     9     ...
 *     unclean       [1][2][3]...[8][9,10][11,12] ...    newest first
 *     clean         [1][2][3]...
 *
 * A request takes the best fit from the unclean set, else from the clean one, else maps more. Address space is
 * retained. Free pages decay here by dirty_decay_ms like those of an arena, in whole chunks.
 *
 *   pages[s] = sum of count[s] of pooled chunks;   mapped = chunks made so far
 *
 * Lock: RANK_POOL, inside every function; not held while purging (chunks in transit are in no range). */
#ifndef ASHLAR_PAGE_POOL_H
#define ASHLAR_PAGE_POOL_H

#include "thread/lock.h"
#include "page/chunk.h"
#include "page/decay.h"

#define POOL_BUCKETS 64u

struct pool_set {
	uint64_t filled; /* bit per bucket that is not empty */
	struct list bucket[POOL_BUCKETS];
};

struct pool {
	struct lock lock;
	struct pool_set clean, unclean; /* all fields: [lock] */
	struct decay decay;
	size_t pages[PAGE_STATES];
	size_t chunks;          /* pooled now */
	_Atomic(size_t) mapped; /* chunks that exist                                    [atomic] */
	size_t purged;          /* pages given back so far */
	size_t purges;          /* system calls for that */
	size_t moved;           /* chunks with `moved` set: each may cost two mappings */
	uintptr_t hint;         /* where the next mapping is asked for */
};

/* `hint` is where the first chunks are asked for (0: anywhere), dirty_ms as for decay_init. */
void pool_init(struct pool *pool, uintptr_t hint, int64_t dirty_ms, uint64_t now);

/* Takes `count` adjacent chunks, the first at a multiple of `align` bytes (a power of two, at least CHUNK). Returns the
 * record of the first; those of the others by map_chunk. All are CHUNK_WHOLE, without owner. NULL: no memory. */
struct chunk *pool_take(struct pool *pool, size_t count, size_t align);
/* Takes exactly the chunks [base, base + count * CHUNK); false when they are not all free, nor can be mapped. */
bool pool_take_at(struct pool *pool, uintptr_t base, size_t count);
/* Gives back `count` adjacent chunks all of whose pages are free. */
void pool_give(struct pool *pool, struct chunk *first, size_t count);

/* Purges what the curve does not allow to stay at `now`; with `all`, everything. */
void pool_decay(struct pool *pool, uint64_t now, bool all);
void pool_set_decay(struct pool *pool, int64_t dirty_ms, uint64_t now);

/* Counts `count` more chunks as moved by the kernel; false: too many are, the process could run out of mappings. */
bool pool_allow_move(struct pool *pool, size_t count);

/* Bytes of chunks made so far; needs no lock. */
size_t pool_mapped(const struct pool *pool);

/* Counts `count` chunks out that have a fresh mapping again. */
void pool_note_fresh(struct pool *pool, size_t count);

struct pool_stats {
	size_t mapped, pooled; /* bytes */
	size_t dirty;          /* bytes */
	size_t purged, purges; /* pages, calls */
};
struct pool_stats pool_read_stats(struct pool *pool);

/* Debug: ranges, sets and sums agree. */
void pool_audit(struct pool *pool);

#endif
