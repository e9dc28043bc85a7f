/* reading.h - everything one arena counts, copied at one moment: what statistics are made of.
 *
 * All fields are 64-bit numbers, so that readings add up word by word and a statistic is a place in the record.
 *
 *   small.allocated = sum over bins of curregs * size        curregs = nmalloc - ndalloc
 *   large.allocated = bytes of live large blocks             curlextents = nmalloc - ndalloc
 *   pactive * PAGE >= small.allocated + large.allocated      (blocks in thread caches count as allocated)
 *
 * What all arenas share - the common pool, the metadata base - is counted under arena 0: sums over arenas then are those
 * of the process.
 *
 * Included at the end of arena.h.
 *
 * Locks: one BIN at a time, then PAGES, POOL, BASE, each held only while its counts are copied. */
#ifndef ASHLAR_ARENA_READING_H
#define ASHLAR_ARENA_READING_H

#include "arena/arena.h"

#define NO_NODE        UINT32_MAX
#define EXTENT_CLASSES 199u /* of runs of pages: three below LARGE_MIN, then the large classes */

enum reading_mutex {
	MUTEX_LARGE,
	MUTEX_EXTENT_AVAIL,
	MUTEX_EXTENTS_DIRTY,
	MUTEX_EXTENTS_MUZZY,
	MUTEX_EXTENTS_RETAINED,
	MUTEX_EXTENTS_PINNED,
	MUTEX_DECAY_DIRTY,
	MUTEX_DECAY_MUZZY,
	MUTEX_BASE,
	MUTEX_TCACHE_LIST,
	MUTEX_HPA_SHARD,
	MUTEX_HPA_SHARD_GROW,
	MUTEX_HPA_SEC,
	MUTEX_BIN, /* and those of the other bins behind */
	MUTEX_COUNT = MUTEX_BIN + CLASS_SMALL_LAST
};

struct reading_blocks {
	uint64_t allocated; /* bytes */
	uint64_t nmalloc, ndalloc, nrequests, nfills, nflushes;
};

struct reading_bin {
	uint64_t nmalloc, ndalloc, nrequests, nfills, nflushes;
	uint64_t nslabs, nreslabs; /* made so far / used again */
	uint64_t curregs, curslabs, nonfull_slabs;
};

struct reading_large {
	uint64_t nmalloc, ndalloc, nrequests, curlextents;
};

struct arena_reading {
	uint64_t nthreads;
	uint64_t pactive, pdirty, pmuzzy;            /* pages */
	uint64_t hollow;                             /* pages of slabs that were given back: in retained */
	uint64_t npurge[PAGE_STATES];                /* purges that found something to do */
	uint64_t nmadvise[PAGE_STATES];              /* system calls for that */
	uint64_t purged[PAGE_STATES];                /* pages */
	uint64_t mapped, retained, pinned, resident; /* bytes */
	uint64_t base, internal, metadata_edata, metadata_rtree;
	uint64_t metadata_thp; /* huge pages */
	uint64_t extent_avail; /* idle records */
	uint64_t tcache_bytes, tcache_stashed_bytes;
	uint64_t abandoned_vm;
	uint64_t hpa; /* always 0: there is no second page allocator */
	struct reading_blocks small, large;
	struct reading_bin bins[CLASS_SMALL_LAST];
	struct reading_large lextents[LARGE_CLASSES];
	/* What does not add up stands behind. */
	struct lock_counts mutexes[MUTEX_COUNT];
	uint64_t uptime; /* nanoseconds since it was made */
	uint64_t node;   /* of memory, where it was made; of sums NO_NODE */
};

/* Free runs of pages of one class, by what they are. */
struct extent_reading {
	uint64_t ndirty, nmuzzy, nretained, npinned;
	uint64_t dirty_bytes, muzzy_bytes, retained_bytes, pinned_bytes;
};

/* Fills in all of it but what only the stairwell knows: tcache_bytes and the requests that live caches have served. */
void arena_read(struct arena *arena, struct arena_reading *reading);

/* What arenas that were destroyed had counted. False: there was none. Like the next one for one caller at a time. */
bool arena_read_destroyed(struct arena_reading *reading);

/* Fills in extents[EXTENT_CLASSES]; walks free pages under the locks of the pages and the pool. */
void arena_read_extents(struct arena *arena, struct extent_reading extents[EXTENT_CLASSES]);

/* Adds up; of waits the longest. What belongs to one arena stays as it is. */
void arena_add_reading(struct arena_reading *sum, const struct arena_reading *one);

#endif
