/* chunk.h - the record of one chunk: 512 pages of 4 KiB, 2 MiB, aligned to its size.
 *
 *   page:    used         free, clean   free, stale   free, dirty            free, muzzy
 *   free:    0            1             1             1                      1
 *   dirty:   (remembers)  0             0             1 written, resident    0
 *   muzzy:   (remembers)  0             0             0                      1 written, given back lazily
 *   stale:   (remembers)  0             1 may read as anything               0
 *
 *   A clean page reads as zero. A stale one is not worth purging (again): its owner declined, or it is pinned.
 *   nfree = bits in free, count[s] = bits in free & state[s], longest >= longest run of bits in free;
 *   of dirty, muzzy, stale at most one. has_stale = 0 => stale = 0; has_muzzy = 0 => muzzy = 0.
 *
 *   state                         who owns the record
 *   CHUNK_POOLED                  the pool (pool lock); all pages free; `run` is valid in the first and last of a range
 *   CHUNK_SHARED                  the pages of one arena (its lock): runs of it are handed out
 *   CHUNK_WHOLE                   the huge block that fills it; to the record its pages are free, as they were before it
 *
 * An odd range, which a program's own source of memory gave, has a record too: base and size are any pages, it is in
 * no page map (spans point at it), belongs to its arena for life. One of less than a chunk is SHARED, pages beyond its
 * end count as used; a larger one is WHOLE.
 *
 * Functions here are bookkeeping on one record: no lock, no system call; the owner's lock is held. */
#ifndef ASHLAR_PAGE_CHUNK_H
#define ASHLAR_PAGE_CHUNK_H

#include "meta/meta.h"

enum page_state { PAGE_DIRTY, PAGE_MUZZY, PAGE_STATES, PAGE_CLEAN = PAGE_STATES, PAGE_STALE };

struct pool;

/* What its mapping was told about transparent huge pages, apart from what all mappings were. */
enum chunk_thp { CHUNK_THP_AS_ALL, CHUNK_THP_FORBIDDEN, CHUNK_THP_WANTED };

enum chunk_state { CHUNK_POOLED, CHUNK_SHARED, CHUNK_WHOLE };

#define CHUNK_WORDS (CHUNK_PAGES / 64)

/* The first cache line is all that taking and giving whole chunks looks at. */
struct chunk {
	_Atomic(struct pool *) pool; /* where it goes when wholly free; written before `state`   [atomic] */
	_Atomic(uint8_t) state; /* enum chunk_state; to and from CHUNK_POOLED under the pool lock  [atomic] */
	uint8_t level;          /* pages: occupancy list */
	uint8_t bucket;         /* pages: list of its level, by longest run */
	bool listed;
	bool moved;           /* pages were moved in or out by the kernel: mappings do not merge */
	bool joined;          /* private pool: one range, to its source, with the chunk before  [pool lock] */
	bool decommitted;     /* must be committed before use */
	bool pinned;          /* never purged: what comes free is stale */
	uintptr_t base;       /* [const] */
	struct pages *owner;  /* shared: whose */
	size_t pages;         /* [const] CHUNK_PAGES, or those of an odd range */
	uint32_t run;         /* pooled: chunks of the range this one begins or ends */
	uint32_t run_unclean; /* first of a range, pooled or just taken: chunks of it with unclean pages */
	uint32_t pass;        /* purge pass that has been here */
	uint16_t nfree;
	uint16_t count[PAGE_STATES]; /* free pages in each state */
	uint16_t longest;
	uint16_t whole; /* free pages with which it leaves its arena: CHUNK_PAGES; odd: never */
	bool has_stale; /* some bit of `stale` is, or was, set; so too: */
	bool has_muzzy;
	struct list link;         /* in a list of pages or pool, by free run */
	struct list unclean_link; /* in a list of pages: has free dirty or muzzy pages */
	uint32_t
		run_above; /* first of a pooled range with unclean pages: how many at its end are known clean */
	uint32_t dense_since; /* second when it was first seen with few free pages; 0: not   [purge lock] */
	uint8_t thp;          /* enum chunk_thp                                              [purge lock] */
	uint64_t free[CHUNK_WORDS];
	uint64_t unclean[PAGE_STATES][CHUNK_WORDS];
	uint64_t stale[CHUNK_WORDS];
};
_Static_assert(offsetof(struct chunk, link) <= 64, "the first cache line");

static inline bool chunk_is_odd(const struct chunk *chunk) {
	return chunk->whole != CHUNK_PAGES;
}

/* Makes a record for fresh, clean, free memory. */
void chunk_init(struct chunk *chunk, struct pool *pool, uintptr_t base);
/* The same for an odd range of `pages` pages. */
void chunk_init_odd(struct chunk *chunk, struct pool *pool, uintptr_t base, size_t pages);
/* All its pages are free, and from now on: read as zero / may read as anything, and are not purged again. */
void chunk_set_clean(struct chunk *chunk);
void chunk_set_stale(struct chunk *chunk);

/* Takes the first free run of `count` pages at a multiple of `align` pages, preferring one that is wholly dirty or
 * muzzy. *first gets its page. False: there is none; then `longest` is exact when align is 1. */
bool chunk_take(struct chunk *chunk, unsigned count, unsigned align, unsigned *first);
/* Takes [first, first + count) if all of it is free. */
bool chunk_take_at(struct chunk *chunk, unsigned first, unsigned count);
/* Is every page of the range clean? (Asked of free or of just taken pages.) */
bool chunk_is_clean(const struct chunk *chunk, unsigned first, unsigned count);
/* Gives used pages back in the given state. */
void chunk_give(struct chunk *chunk, unsigned first, unsigned count, enum page_state state);

/* A huge block takes a chunk whose pages are all free without a change to the record, but for its state. Is every page
 * clean? / All pages of such a chunk are free again: in the given state. */
static inline bool chunk_whole_is_clean(const struct chunk *chunk) {
	return chunk->count[PAGE_DIRTY] + chunk->count[PAGE_MUZZY] == 0 &&
	       (!chunk->has_stale || chunk_is_clean(chunk, 0, CHUNK_PAGES));
}
void chunk_give_whole(struct chunk *chunk, enum page_state state);

/* Picks free pages for purging, at least `most` pages in `state` if there are that many, and marks them used. They
 * are whole OS pages of `unit` pages (a power of two, at most 64), highest first, that hold some page in `state`;
 * their other pages may be in any state. Returns the pages in `state`; victims gets the bits of all. Ended by
 * chunk_give_victims. */
unsigned chunk_take_victims(struct chunk *chunk, enum page_state state, unsigned most, unsigned unit,
                            uint64_t victims[CHUNK_WORDS]);
void chunk_give_victims(struct chunk *chunk, const uint64_t victims[CHUNK_WORDS], enum page_state state);

/* Debug: the equations above hold. */
void chunk_audit(const struct chunk *chunk);

#endif
