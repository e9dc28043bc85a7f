/* pool.h - whole free chunks: one pool is shared by all automatic arenas, so that memory freed in one serves another; a
 * manual arena, or one with extent hooks of its own, has a private pool.
 *
 * Free chunks that touch form one range. A range is in one of two sets, unclean (some page may be resident)
 * or clean, and there in a list by its length:
 *
 *      set     bucket 0  1  2 ... 7   8     9     ...
 *     unclean       [1][2][3]...[8][9,10][11,12] ...    newest first
 *     clean         [1][2][3]...
 *
 * A request takes the best fit from the unclean set, else from the clean one, else maps more. Address space is
 * retained unless the option says otherwise, or memory runs out. Free pages decay here by dirty_decay_ms like those of
 * an arena, in whole chunks.
 *
 * A private pool asks its hooks for everything. To them a range is one object: what touches joins only when `merge`
 * agrees, a part is taken only when `split` agrees (chunk->joined remembers), and no lock is held meanwhile: the range
 * is taken out whole, and the rest put back. See private.c.
 *
 *   pages[s] = sum of count[s] of pooled chunks;   mapped = chunks made so far
 *
 * Lock: RANK_POOL, inside every function; not held while purging (chunks in transit are in no range). */
#ifndef ASHLAR_PAGE_POOL_H
#define ASHLAR_PAGE_POOL_H

#include "thread/lock.h"
#include "page/chunk.h"
#include "page/decay.h"
#include "page/hooks.h"

#define POOL_BUCKETS 64u

struct pool_set {
	uint64_t filled; /* bit per bucket that is not empty */
	struct list bucket[POOL_BUCKETS];
};

struct pool {
	void *idle;      /* base.c's, while the record is unused: the lock stays in its registry */
	bool is_private; /* a record is of one kind for good                             [const] */
	struct lock lock;
	struct pool_set clean, unclean; /* all fields: [lock] */
	struct decay decay;
	size_t pages[PAGE_STATES];
	size_t leaving;         /* pages taken out to be purged, which are in memory as yet */
	size_t chunks;          /* pooled now */
	_Atomic(size_t) mapped; /* chunks that exist                                    [atomic] */
	size_t purged;          /* pages given back so far */
	size_t purges;          /* calls for that */
	size_t passes;          /* times that was begun */
	size_t pinned;          /* pages of pooled chunks and odd ranges that are pinned */
	size_t moved;           /* chunks with `moved` set, and with `thp` set: each may cost two mappings */
	size_t holes;           /* unmapped ranges: each may cost a mapping */
	uintptr_t hint;         /* where the next mapping is asked for */
	_Atomic(uint8_t) dss;   /* enum page_dss                                     [atomic] */

	/* the rest is a private pool's */
	struct pool *common;             /* gives it what others left      [const until the pool's end] */
	unsigned arena;                  /* whose                  [const until the pool's end] */
	_Atomic(extent_hooks_t *) hooks; /*                                      [atomic] */
	_Atomic(size_t) grow_limit;      /* bytes asked for ahead of need        [atomic] */
	struct list odd;                 /* free odd ranges of a chunk and more */
	size_t odd_pages;                /* pages of those */
	size_t odd_dirty;                /* pages of those that are not purged yet */
	size_t odd_used;                 /* pages of odd ranges that are taken */
	_Atomic(bool) foreign;           /* it had other hooks than the default ones          [atomic] */
	_Atomic(size_t) abandoned;       /* bytes whose source took them back in no way   [atomic] */
};

_Static_assert(offsetof(struct pool, lock) + offsetof(struct lock, waits) <= CACHE_LINE,
               "a record begins a line");

/* `hint` is where the first chunks are asked for (0: anywhere), dirty_ms as for decay_init. */
void pool_init(struct pool *pool, uintptr_t hint, int64_t dirty_ms, uint64_t now);

/* Where a private pool gets its memory from. */
struct pool_source {
	extent_hooks_t *hooks; /* NULL: page_default_hooks */
	unsigned arena;        /* index that the hooks are told */
	enum page_dss dss;     /* for the default hooks */
	size_t grow_limit;     /* bytes; 0: PAGE_GROW_LIMIT_DEFAULT */
	struct pool *common;   /* under default hooks free chunks of this one serve first; NULL: none */
};
/* A private pool. Its decay time is that of the arena it is given to (pages_init). NULL: no memory. */
struct pool *pool_make(const struct pool_source *source);

/* Takes `count` adjacent chunks, the first at a multiple of `align` bytes (a power of two, at least CHUNK). Returns the
 * record of the first; those of the others by map_chunk. All are CHUNK_WHOLE; `run_unclean` of the first tells, in the shared
 * pool, how many are not clean. NULL: no memory. */
struct chunk *pool_take(struct pool *pool, size_t count, size_t align);
/* The same of chunks that are pooled already; the pool does not grow. */
struct chunk *pool_take_free(struct pool *pool, size_t count, size_t align);
/* Takes exactly the chunks [base, base + count * CHUNK); false when they are not all free, nor can be mapped. */
bool pool_take_at(struct pool *pool, uintptr_t base, size_t count);
/* Lets the chunks behind the first `at` of a huge block, which begins with `first`, have another fate than those. False:
 * their source declined. */
bool pool_split(struct pool *pool, struct chunk *first, size_t at);
/* Gives back `count` adjacent chunks all of whose pages are free. */
void pool_give(struct pool *pool, struct chunk *first, size_t count);

/* Purges what the curve does not allow to stay at `now`; with `all`, everything. */
void pool_decay(struct pool *pool, uint64_t now, bool all);
/* Gives the address space of clean ranges of the common pool back: when memory runs out, something else may need it. True:
 * there was some. */
bool pool_release(struct pool *pool);
void pool_set_decay(struct pool *pool, int64_t dirty_ms, uint64_t now);

/* Counts `count` more chunks as moved by the kernel; false: too many are, the process could run out of mappings. */
bool pool_allow_move(struct pool *pool, size_t count);

/* Dirty pages of a shared pool, without asking for the lock: a guess. Of a private one: none. */
size_t pool_peek_dirty(const struct pool *pool);
/* Bytes of chunks made so far; needs no lock. */
size_t pool_mapped(const struct pool *pool);

/* Private pools: takes / gives back an odd range. */
struct chunk *pool_take_odd(struct pool *pool, size_t pages, size_t align);
void pool_give_odd(struct pool *pool, struct chunk *chunk);
/* Hands a free odd range to dalloc; false: declined / and to destroy then: it is gone. */
bool pool_return_odd(struct pool *pool, struct chunk *chunk);
void pool_end_odd(struct pool *pool, struct chunk *chunk);

/* Has part of a range that is not in use purged: the state it is in then. Lazily: that is enough if it can be had. */
enum page_state pool_purge_part(struct pool *pool, const struct hook_part *part, bool lazily);

/* Exchanges the hooks of a private pool; returns those before. */
extent_hooks_t *pool_set_hooks(struct pool *pool, extent_hooks_t *hooks);

/* The end of a private pool all of whose chunks are pooled: they go to `heir` when nobody but us made them, else to
 * dalloc and destroy. Returns the bytes that were taken back in no way. */
size_t pool_end(struct pool *pool, struct pool *heir);

/* Counts `count` chunks out that have a fresh mapping again. */
void pool_note_fresh(struct pool *pool, size_t count);

struct pool_stats {
	size_t mapped, pooled; /* bytes; odd ranges included */
	size_t dirty;          /* bytes, muzzy ones included */
	size_t dirty_pages, muzzy_pages;
	size_t pinned;                 /* bytes that are never purged */
	size_t abandoned;              /* bytes that a source took back in no way */
	size_t purged, purges, passes; /* pages, calls, times begun */
};
struct pool_stats pool_read_stats(struct pool *pool);

/* Debug: ranges, sets and sums agree. */
void pool_audit(struct pool *pool);

#endif
