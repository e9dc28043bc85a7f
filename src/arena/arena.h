/* arena.h - floor 4: independent sets of bins and chunks.
 *
 *   arena
 *     bin[class]     slabs of one small class, with a lock each     -> blocks up to SMALL_MAX
 *     pages          chunks, with one lock                          -> slabs, and blocks of LARGE_MIN and more
 *
 *   bin:  regions handed out = filled - flushed       (they are live in the program or in a thread cache)
 *         a slab with free regions is in exactly one nonfull list, by how much of it is free:
 *             nonfull[0] up to 1/4   [1] up to 1/2   [2] up to 3/4   [3] more
 *         a full slab is in none; a slab that becomes empty goes back to the pages at once
 *
 * Locks: ARENAS for the table and the assignment of threads; one BIN lock at a time; PAGES and below inside. */
#ifndef ASHLAR_ARENA_H
#define ASHLAR_ARENA_H

#include "thread/lock.h"
#include "page/page.h"

#define ARENA_LIMIT  4095u
#define BIN_QUARTERS 4u

struct bin {
	_Alignas(CACHE_LINE) struct lock lock;
	struct list nonfull[BIN_QUARTERS]; /* [lock] */
	size_t slabs;                      /* [lock] live slabs */
	uint64_t filled, flushed;          /* [lock] regions taken out / brought back so far */
	uint64_t fills, flushes;           /* [lock] times that happened */
};

struct large_counts {
	_Atomic(uint64_t) taken, given; /* [atomic] blocks */
};

struct arena {
	struct bin bin[CLASS_SMALL_LAST + 1];
	struct large_counts large[CLASS_LAST - CLASS_SMALL_LAST]; /* per cached large class */
	struct large_counts huge;                                 /* blocks above CACHED_MAX */
	_Atomic(size_t) huge_bytes;                               /* [atomic] usable bytes of those, live */
	_Atomic(unsigned) threads; /* [atomic; changed under the arenas lock] */
	unsigned index;            /* [const] */
	struct pages pages;
};

struct arena_settings {
	unsigned limit; /* most automatic arenas, 1 to ARENA_LIMIT */
	int64_t decay_ms[PAGE_STATES];
	uintptr_t hint; /* where the first memory is asked for; 0: anywhere */
};
/* Makes the pool. Once. */
void arena_prepare(const struct arena_settings *settings);
/* Makes arena 0 if there is none. False: no memory. */
bool arena_make_first(void);

/* The arena for a new thread: the one with fewest threads, or a new one while all have some and the limit allows.
 * Never NULL after a successful start. */
struct arena *arena_assign(void);
void arena_leave(struct arena *arena);
struct arena *arena_at(unsigned index); /* NULL: not made */
/* In a forked child: only the calling thread is left; `own` is its arena, or NULL. */
void arena_forget_threads(struct arena *own);
unsigned arena_count(void);
unsigned arena_limit(void);
struct pool *arena_pool(void);

/* Takes up to `count` blocks of a cached class into slots[], lowest address first. Returns how many; 0: no memory. */
unsigned arena_fill(struct arena *arena, unsigned class, void **slots, unsigned count);
/* Brings blocks of one class back to whichever arenas they came from. slots[] is used up. Reports misuse. */
void arena_flush(unsigned class, void **slots, unsigned count);

/* Is the block, live and of a cached class, out of this arena? */
bool arena_owns(const struct arena *arena, const void *block);

/* A block of its own run of pages: any size from 1 up, aligned to `align` (a power of two; at least PAGE is given).
 * Its class is that of `size` when that is a cached large one. NULL: no memory. */
struct span *arena_take_large(struct arena *arena, size_t size, size_t align);
void arena_give_large(struct span *span);
/* Changes the usable size of a large block in place. False: not possible. */
bool arena_resize_large(struct span *span, size_t size);

/* Purges overdue pages of every arena and of the pool; with `all`, all unused pages. */
void arena_decay_all(uint64_t now, bool all);

/* Dirty and muzzy pages of all arenas and of the pool. */
size_t arena_count_unused(void);

struct arena_stats {
	size_t arenas, threads;
	size_t small, large;         /* bytes of blocks out of the arenas (live or cached) */
	size_t slab_bytes;           /* bytes of slabs */
	size_t active, dirty, muzzy; /* bytes */
	size_t mapped, retained;     /* bytes */
	uint64_t purged;             /* pages given back so far */
};
/* Sums over all arenas; takes each lock only to copy. */
struct arena_stats arena_read_stats(void);

/* Per class, over all arenas. */
struct class_stats {
	uint64_t filled, flushed, fills, flushes;
	size_t slabs;
};
struct class_stats arena_read_class(unsigned class);
/* The same of one arena. */
struct class_stats arena_read_own_class(struct arena *arena, unsigned class);
/* Slabs of a small class with free regions; walks them. */
size_t arena_count_nonfull(struct arena *arena, unsigned class);

/* Debug: every bin's slabs and every page list agree. */
void arena_audit(struct arena *arena);
void arena_audit_all(void); /* with the pool */

#endif
