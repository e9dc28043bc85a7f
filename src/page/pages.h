/* pages.h - the page allocator of one arena: spans out of shared chunks, huge blocks out of whole chunks.
 *
 * Chunks with free pages are kept by occupancy and, within it, by longest free run:
 *
 *   level 0: under 50 % used    1: 25-75 %    2: 50-100 %    3: from 75 %      (bounds overlap: a chunk does
 *                                                                                not bounce between two)
 *   level L: filled[L] bit b  <=>  bucket[L][b] not empty
 *            bucket[L][b]: chunks whose `longest` is in bucket b: 1, 2, ... 8, then four per doubling up to 512
 *            bucket[L][PAGES_FULL]: chunks without a free page
 *
 * A request of n pages takes, fullest level first, a chunk of the lowest bucket that has one with n in a row; sparse
 * chunks so drain, become wholly free, and go to the pool (all but one per arena).
 *
 *   active  pages handed out      pages[s] = sum of count[s] over shared chunks of this arena
 *
 * Lock: RANK_PAGES, inside every function, dropped around system calls of purging (pages in transit count as used) and
 * around what gives to the pool or takes from it, where hooks may be called; the base lock is taken below it. */
#ifndef ASHLAR_PAGE_PAGES_H
#define ASHLAR_PAGE_PAGES_H

#include "thread/lock.h"
#include "page/pool.h"

#define PAGES_LEVELS  4u
#define PAGES_BUCKETS 32u
#define PAGES_FULL    PAGES_BUCKETS

struct pages {
	_Alignas(CACHE_LINE) struct lock lock;
	_Atomic(struct pool *) pool; /* where new chunks come from; they remember theirs   [atomic] */
	struct pool *common;         /* the shared one, of an automatic arena                [const] */
	unsigned index;              /* of the arena, told to hooks                          [const] */
	_Atomic(uint8_t) dss;        /* enum page_dss                                       [atomic] */
	_Atomic(size_t) grow_limit;  /* bytes                                               [atomic] */
	_Atomic(size_t) allowed; /* pages it may come to hold unasked, where growth is watched    [atomic] */
	uint32_t filled[PAGES_LEVELS];
	uint32_t pass;   /* of purging */
	unsigned tended; /* bucket whose chunks were looked at for huge pages */
	struct list bucket[PAGES_LEVELS][PAGES_BUCKETS + 1];
	struct list unclean[PAGES_LEVELS]; /* chunks with free dirty or muzzy pages */
	struct chunk *spare;               /* a wholly free chunk kept, or NULL */
	struct decay decay[PAGE_STATES];
	size_t pages[PAGE_STATES];
	size_t leaving;             /* pages picked to be purged, which are in memory as yet */
	size_t active;              /* pages; its address is given out */
	size_t owned;               /* pages of all chunks that are the arena's */
	size_t purged[PAGE_STATES]; /* pages that left the state by purging */
	size_t purges[PAGE_STATES]; /* calls for that */
	size_t passes[PAGE_STATES]; /* times that was begun */
	size_t abandoned;           /* bytes that nobody took back when it was destroyed */
	struct list idle_spans[2];  /* span records to reuse: of slabs, of large blocks */
	struct list stuck;          /* spans whose guard pages the system did not open yet: see fence.c */
};

/* Starts an arena's pages. A private pool becomes this arena's for good, and takes over its decay time; with the shared
 * one, set `index` afterwards. */
void pages_init(struct pages *pages, struct pool *pool, const int64_t decay_ms[PAGE_STATES], uint64_t now);

/* Takes `count` >= 1 pages starting at a multiple of `align` bytes (a power of two, >= PAGE). The span has kind, base,
 * pages, zeroed and fenced filled in and nothing else; it is not in the page map. NULL: no memory. */
struct span *page_take(struct pages *pages, enum span_kind kind, size_t count, size_t align);
/* Gives it back, as dirty. Its blocks must be out of the page map. */
void page_give(struct pages *pages, struct span *span);

/* Changes the size without moving. Growing takes free pages behind; shrinking gives pages back. False: not possible,
 * as for any span between guard pages. */
bool page_resize(struct pages *pages, struct span *span, size_t count);

/* Moves the contents of `from` into `to` by page tables where both consist of whole chunks up to the last; `from` is
 * good for page_give only afterwards. `bytes` is how much of it matters. False: nothing was done. */
bool page_move(struct span *to, struct span *from, size_t bytes);

/* Makes the first `bytes` of the block read as zero: clears them, or, from drop_threshold bytes on, gives pages back where
 * that is cheaper. Takes no lock. */
void page_zero(struct span *span, size_t bytes, size_t drop_threshold);

/* Purges what the curve does not allow to stay at `now`; with `all`, everything. The pool has its own pool_decay. */
void page_decay(struct pages *pages, uint64_t now, bool all);
void page_set_decay(struct pages *pages, enum page_state state, int64_t ms, uint64_t now);

/* The table that the arena's memory comes from; page_default_hooks unless exchanged. / Exchanges it, at any time, and
 * returns the one before in *before (may be NULL). An arena of the shared pool gets a private one thereby; what it has
 * goes back to where it came from. False: no memory for that. Takes no lock but its own. */
extent_hooks_t *page_hooks(struct pages *pages);
bool page_set_hooks(struct pages *pages, extent_hooks_t *hooks, extent_hooks_t **before);

/* Gives everything of an arena with a private pool back, after all its blocks: through dalloc, then destroy; under
 * default hooks to the shared pool `heir`. The pages, and the pool, are not to be used afterwards. False, and nothing was
 * done: a block is left, or the pool is not private. PURGE is held. */
bool page_destroy(struct pages *pages, struct pool *heir);

enum page_dss page_dss(const struct pages *pages);
void page_set_dss(struct pages *pages, enum page_dss dss);

/* Most bytes that are asked for ahead of need. Setting rounds down to a page size class; false: less than a page. */
size_t page_grow_limit(const struct pages *pages);
bool page_set_grow_limit(struct pages *pages, size_t bytes);

/* Pages inside a span that hold nothing, nor do others look at them: bit i is its page i. */
struct page_hole {
	struct span *span;
	uint16_t pages;
	bool refused; /* some of it was not purged; the rest may have been */
};
/* Purges them; they read as zero then, or as before. Sets `refused`. PURGE is held. */
void page_purge_holes(struct page_hole *holes, size_t count);
/* Is the memory of somebody else's making, and not purged so? */
bool page_is_foreign(const struct span *span);

/* True once the dirty decay time of any arena was 0: then every free is to be followed by a purge. */
bool page_purges_at_once(void);

/* With a private pool, what is there is included. */
struct page_stats {
	size_t active, dirty, muzzy; /* pages */
	size_t retained, pinned,
		mapped;   /* bytes: free and given back; free, never purged; all but retained */
	size_t abandoned; /* bytes of address space that nobody took back */
	size_t purged[PAGE_STATES], purges[PAGE_STATES], passes[PAGE_STATES];
};
/* Pages handed out, without asking for the lock: a guess while others work. */
size_t page_peek_active(const struct pages *pages);
struct page_stats page_read_stats(struct pages *pages);

/* Growth. While it is watched, an arena that is to hold more pages than `allowed` asks event_hooks.grow first, which may
 * refuse: the request fails for lack of memory then. Otherwise nobody is asked, and it costs nothing. */
void page_watch_growth(bool watched);
/* May pages that were purged while they were handed out be used again? Asks event_hooks.refill likewise. */
bool page_may_refill(size_t pages);
/* Pages in memory: handed out, dirty and muzzy; of those unused. A guess, without the lock. / Those of a pool. */
struct page_held {
	size_t pages, unused;
};
struct page_held page_peek_held(const struct pages *pages);
size_t pool_peek_unused(const struct pool *pool);

/* Free runs of pages in one state, by page size class: 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, ... pages. A run
 * counts under the largest class that fits into it. */
#define PAGE_CLASSES 199u
enum { EXTENT_DIRTY, EXTENT_MUZZY, EXTENT_RETAINED, EXTENT_PINNED, EXTENT_STATES };
struct page_extent_stats {
	size_t count[EXTENT_STATES], bytes[EXTENT_STATES];
};
/* Index of the largest class of at most `pages` pages, 1 at least / pages of a class. */
unsigned page_class_of(size_t pages);
size_t page_class_pages(unsigned index);
/* Adds those of the arena, with a private pool also those there / those of a pool. Walks all free chunks, list
 * by list: nobody waits for more than one of them, and what moves meanwhile may be counted twice or not at all. */
void page_read_extents(struct pages *pages, struct page_extent_stats out[PAGE_CLASSES]);
void pool_read_extents(struct pool *pool, struct page_extent_stats out[PAGE_CLASSES]);

/* Debug: lists, masks and sums agree with the chunks. */
void pages_audit(struct pages *pages);

#endif
