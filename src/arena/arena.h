/* arena.h - floor 4: independent sets of bins and chunks.
 *
 *   arena
 *     bins[class]    slabs of one small class, with a lock each     -> blocks up to SMALL_MAX
 *     pages          chunks, with one lock                          -> slabs, and blocks of LARGE_MIN and more
 *
 *   bin:  regions handed out = filled - flushed       (they are live in the program or in a thread cache)
 *         every slab is in exactly one list, by how many quarters of it are free, rounded up:
 *             slabs[0] none   [1] up to 1/4   [2] up to 1/2   [3] up to 3/4   [4] more
 *         a slab that becomes empty goes back to the pages at once
 *
 *   bins[class] is NULL until the class is first asked for; then it is an array of arena_shards(class) bins, between
 *   which threads are spread. A block goes back to the bin its slab remembers.
 *
 * Indices:    0 ... limit - 1          automatic: made when a thread first needs one
 *             limit                    oversize, where there is one: requests of oversize_threshold and more
 *             above, up to 4094        manual: made by arena_create, each with a pool of chunks of its own
 *
 * Locks: ARENAS for the table and the assignment of threads; one BIN lock at a time; PAGES and below when no BIN is
 * held: functions of the program may be called there. */
#ifndef ASHLAR_ARENA_H
#define ASHLAR_ARENA_H

#include "thread/lock.h"
#include "page/page.h"

#define ARENA_LIMIT    4095u /* indices there may be */
#define ARENA_NAME_MAX 32u   /* bytes of a name, with its end */
#define BIN_LISTS      5u
#define SHARDS_MAX     64u
#define CACHED_LARGE   (CLASS_LAST - CLASS_SMALL_LAST) /* large classes that thread caches hold */

/* Requests that reached the arena: those answered without a cache, and what ending caches have served. */
struct bin {
	_Alignas(CACHE_LINE) struct lock lock;
	struct list slabs[BIN_LISTS]; /* [lock] */
	size_t live;                  /* [lock] slabs now */
	size_t full;                  /* [lock] those in slabs[0] */
	uint64_t filled, flushed;     /* [lock] regions taken out / brought back so far */
	uint64_t fills, flushes;      /* [lock] times that happened */
	_Atomic(uint64_t) requests;   /* [atomic] */
	uint64_t created;             /* [lock] slabs made so far */
	uint64_t reused;              /* [lock] times filling went over to another slab that was there */
	const struct span *last;      /* [lock] that it was filled from, for comparing */
};

/* Where a round of hollow.c is. */
struct sweep {
	uint64_t due;                   /* nanoseconds, of the next round          [all fields: purge lock] */
	size_t left;                    /* slabs that may still be visited in this bin */
	unsigned class, shard, quarter; /* list that is visited; quarter 0: none yet */
	uint8_t round;                  /* 1 to 255 */
	bool runs, all;
};

struct large_counts {
	_Atomic(uint64_t) taken, given; /* [atomic] blocks */
};

struct arena {
	_Atomic(struct bin *) bins[CLASS_SMALL_LAST + 1]; /* [acquire/release] shards; NULL: not used yet */
	struct large_counts large[LARGE_CLASSES];         /* by the class that contains the block */
	_Atomic(uint64_t) large_requests[CACHED_LARGE];   /* [atomic] as of bins; above, every block is one */
	_Atomic(size_t) huge_bytes; /* [atomic] usable bytes of live blocks above CACHED_MAX */
	_Atomic(unsigned) threads;  /* [atomic; changed under the arenas lock] */
	unsigned index;             /* [const while in the table] */
	bool manual;                /* [const] */
	unsigned node; /* [const while in the table] of the CPU that made it; its memory may be elsewhere */
	uint64_t born; /* os_now() when it was made                     [const while in the table] */
	_Atomic(size_t) oversize;   /* [atomic] its own copy of the threshold */
	char name[ARENA_NAME_MAX];  /* [arenas lock] */
	struct list larges;         /* [larges_lock] spans of its large blocks; only where `manual` */
	struct lock larges_lock;    /* RANK_BIN */
	struct sweep sweep;         /* [purge lock] */
	_Atomic(size_t) hollow;     /* [atomic] pages of slabs that are not resident */
	_Atomic(uint64_t) hollowed; /* [atomic] pages that became so, ever */
	struct arena *next;         /* [arenas lock] of the records to use again */
	struct pages pages;         /* pages.pool: the common one, or a manual arena's own */
};

struct arena_settings {
	unsigned limit; /* most automatic arenas, 1 to ARENA_LIMIT - 1 */
	int64_t decay_ms[PAGE_STATES];
	uintptr_t hint;  /* where the first memory is asked for; 0: anywhere */
	size_t oversize; /* threshold in bytes; below LARGE_MIN: no oversize arena */
	unsigned by_cpu; /* threads on CPU i use arena i % by_cpu; 0: whichever has fewest threads */
	uint8_t shards[CLASS_SMALL_LAST + 1]; /* bins per class; 0 is 1 */
};
/* Makes the pool. Once. */
void arena_prepare(const struct arena_settings *settings);
/* Makes arena 0 if there is none. False: no memory. */
bool arena_make_first(void);

/* -- the table ------------------------------------------------------------------------------------------------- */

/* The arena for a new thread: the one with fewest threads, or a new one while all have some and the limit allows; that of
 * its CPU where arenas go by CPU. Never NULL after a successful start. */
struct arena *arena_assign(void);
/* Counts a thread in / out. False: the arena is gone. */
bool arena_join(struct arena *arena);
void arena_leave(struct arena *arena);
/* In a forked child: only the calling thread is left; `own` is its arena, or NULL. */
void arena_forget_threads(const struct arena *own);
/* The automatic arena for threads on this CPU, made if need be; NULL where arenas do not go by CPU, or without memory. */
struct arena *arena_for_cpu(unsigned cpu);
/* Do arenas go by CPU? */
bool arena_per_cpu(void);

struct arena *arena_at(unsigned index); /* NULL: not made, or destroyed */
/* The same, but an automatic one, or the oversize one, is made if need be. NULL: no such index, or no memory. */
struct arena *arena_make(unsigned index);
/* Whether threads may have arenas made for them; else they share what there is. At first true [atomic]. */
void arena_allow_more(bool allowed);
unsigned arena_limit(void); /* automatic arenas there may be */
unsigned
arena_count(void); /* indices in use or reserved; loops up to it skip those that arena_at does not know */
unsigned arena_made(void);                              /* arenas that are there */
struct pool *arena_pool(void);                          /* the common one */
struct pool *arena_own_pool(const struct arena *arena); /* NULL: it uses the common one */

/* The arena that serves a request of `size` bytes by a thread of `arena`: the oversize one for large requests where
 * `arena` is automatic. */
struct arena *arena_for_size(struct arena *arena, size_t size);
bool arena_has_oversize(void);         /* is an index reserved for it? */
size_t arena_oversize_threshold(void); /* SIZE_LIMIT + PAGE when there is no oversize arena */

/* Decay times of arenas made later. EFAULT: out of range. */
int64_t arena_default_decay(enum page_state state);
/* That of one arena. Dirty pages of the common pool have the longest time of all arenas that use it. */
void arena_set_decay(struct arena *arena, enum page_state state, int64_t ms, uint64_t now);
int arena_set_default_decay(enum page_state state, int64_t ms);

/* Copies at most ARENA_NAME_MAX - 1 bytes, and an end. */
void arena_read_name(struct arena *arena, char name[ARENA_NAME_MAX]);
void arena_set_name(struct arena *arena, const char *name);

/* The arena a block is of; NULL: not a block of ours. */
struct arena *arena_of_block(const void *block);

#define EACH_ARENA(arena, i) \
	for (unsigned i = 0, n_ = arena_count(); i < n_; i++) \
		for (struct arena *arena = arena_at(i); arena != NULL; arena = NULL)

/* -- manual arenas --------------------------------------------------------------------------------------------- */

/* Makes one over these hooks (NULL: the default ones); the index destroyed last is used again first. 0, or EAGAIN: no
 * memory, or no index left. Functions of the program may run: no lock is held. */
int arena_create(extent_hooks_t *hooks, unsigned *index);
bool arena_is_manual(const struct arena *arena);

/* Frees every block. Nobody else uses the arena meanwhile, and no cache holds its blocks. EFAULT: not a manual one. Only
 * PURGE is held. */
int arena_reset(struct arena *arena);
/* Its end has two halves: arena_at knows it no more, while its blocks live; false: not a manual one, or it has threads, and
 * nothing was done. / Then it is reset, and everything goes back to where it came from. */
bool arena_retire(struct arena *arena);
void arena_destroy(struct arena *arena);

/* May these blocks wait where any thread can get them? Not those of manual arenas. */
bool arena_may_travel(void *const *blocks, unsigned count);
/* Do blocks of the class begin there? */
bool arena_has_blocks(unsigned class, void *const *blocks, unsigned count);

/* -- blocks ---------------------------------------------------------------------------------------------------- */

/* Takes up to `count` blocks of a cached class into slots[], lowest address first. Returns how many; 0: no memory. */
unsigned arena_fill(struct arena *arena, unsigned class, void **slots, unsigned count);
/* One block of a cached class for a request that no cache serves, which is counted. NULL: no memory. */
void *arena_take(struct arena *arena, unsigned class);
/* Counts requests a cache has served. */
void arena_count_requests(struct arena *arena, unsigned class, uint64_t count);
/* Brings blocks of one class back to whichever arenas they came from. slots[] is used up. Reports misuse. */
void arena_flush(unsigned class, void **slots, unsigned count);

/* What is around a live block. All zero for what is not in a slab or large block. */
struct block_facts {
	const void *filling;          /* of a small block: the slab its bin fills next, or NULL */
	size_t free, regions;         /* of its slab; a large block: 0, 1 */
	size_t bytes;                 /* of its slab, or of the large block */
	size_t bin_free, bin_regions; /* of its bin; a large block: 0 */
	bool sparse; /* its slab is not the one filled next, and hardly fuller than the bin's other slabs with free regions are
	              * on the average: moving its blocks would empty it */
};
struct block_facts arena_describe(const void *block);

/* Is the block, live and of a cached class, out of this arena? */
bool arena_owns(const struct arena *arena, const void *block);

/* A block of its own run of pages: any size from 1 up, aligned to `align` (a power of two; at least PAGE is given).
 * Its class is that of `size` when that is a cached large one. NULL: no memory. */
struct span *arena_take_large(struct arena *arena, size_t size, size_t align);
void arena_give_large(struct span *span);
/* Changes the usable size of a large block in place. False: not possible. */
bool arena_resize_large(struct span *span, size_t size);

/* Purges overdue pages of every arena and of the pools; with `all`, all unused pages. */
void arena_decay_all(uint64_t now, bool all);
/* Purges all unused pages, those inside of slabs left alone. */
void arena_give_unused(uint64_t now);
/* As arena_decay_all, of one arena and of its pool. */
void arena_decay(struct arena *arena, uint64_t now, bool all);

/* Bins per arena of a small class. */
unsigned arena_shards(unsigned class);
/* One of them; NULL: the class was never asked for. */
struct bin *arena_bin(struct arena *arena, unsigned class, unsigned shard);

/* The bins of a small class of an arena, if there are any. */
#define EACH_BIN(arena, class, bin) \
	for (unsigned s_ = 0; s_ < arena_shards(class); s_++) \
		for (struct bin *bin = arena_bin(arena, class, s_); bin != NULL; bin = NULL)

/* -- figures --------------------------------------------------------------------------------------------------- */

/* Dirty and muzzy pages of all arenas and of the pools that are to be given back some time. */
size_t arena_count_unused(void);
/* Is some arena in the middle of looking through its slabs for pages to give back? Takes no lock; PURGE is held. */
bool arena_sweeping(void);
/* Pages the system has got back so far, those not counted that it may take but has not been made to. */
uint64_t arena_count_given(void);

struct arena_stats {
	size_t arenas, threads;
	size_t small, large; /* bytes of blocks out of the arenas (live or cached) */
	size_t slab_bytes,
		slab_hollow;         /* bytes of slabs; those of them that were given back, in neither sum */
	size_t active, dirty, muzzy; /* bytes */
	size_t mapped, retained;     /* bytes */
	uint64_t purged;             /* pages given back so far */
};
/* Pages handed out and not given back since, without asking for a lock: a guess while others work. */
size_t arena_peek_active(const struct arena *arena);
/* Sums over all arenas; takes each lock only to copy. */
struct arena_stats arena_read_stats(void);

/* Per cached class, over all arenas. Large ones: filled, flushed and requests only. */
struct class_stats {
	uint64_t filled, flushed, fills, flushes, requests, created, reused;
	size_t slabs, nonfull; /* now; those with free regions */
};
void arena_add_class(struct class_stats *sum, const struct class_stats *own);
struct class_stats arena_read_class(unsigned class);
/* The same of one arena, over its shards. */
struct class_stats arena_read_own_class(struct arena *arena, unsigned class);
/* Slabs of a small class with free regions. */
size_t arena_count_nonfull(struct arena *arena, unsigned class);

/* Per large class (0 to LARGE_CLASSES - 1) of one arena. */
struct large_stats {
	uint64_t taken, given, requests;
};
struct large_stats arena_read_own_large(struct arena *arena, unsigned large);
/* Usable bytes of its live large blocks. */
size_t arena_read_large_bytes(struct arena *arena);

/* What arenas that were destroyed had counted; nothing in it is live: taken == given, no slabs, no pages. */
struct arena_past {
	unsigned destroyed; /* how many arenas */
	struct class_stats class[CLASS_SMALL_LAST + 1];
	struct large_stats large[LARGE_CLASSES];
	struct page_stats pages;
};
/* A copy; .destroyed 0: there was none. */
void arena_read_past(struct arena_past *past);
bool arena_any_destroyed(void);

/* Debug: every bin's slabs and every page list agree. */
void arena_audit(struct arena *arena);
void arena_audit_all(void); /* with the pool */

#include "arena/reading.h"

#endif
