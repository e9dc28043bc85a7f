/* snapshot.h - statistics as they were at the last write to `epoch`.
 *
 * A refresh copies every arena's counts, one after the other, and adds them up; readers get what it copied, so that figures
 * read one after the other belong together. The first reader makes it if nobody did. Extents are another matter: they are
 * walked when first asked for after a refresh.
 *
 *   merged = sum over arenas + destroyed
 *
 * Lock: RANK_CTL, inside every function; everything below inside a refresh, for as long as a copy takes. */
#ifndef ASHLAR_CTL_SNAPSHOT_H
#define ASHLAR_CTL_SNAPSHOT_H

#include "arena/arena.h"

enum total_mutex {
	TOTAL_BACKGROUND_THREAD,
	TOTAL_MAX_PER_BG_THD,
	TOTAL_CTL,
	TOTAL_PROF,
	TOTAL_PROF_SAMPLES, /* and four more of profiling, whose work is done under the first */
	TOTAL_MUTEXES = TOTAL_PROF + 6
};

/* The process as a whole, in bytes where nothing else is said. */
struct snapshot_totals {
	uint64_t allocated, active, metadata, metadata_edata, metadata_rtree, resident, mapped, retained,
		pinned;
	uint64_t metadata_thp;                                 /* huge pages */
	uint64_t zero_reallocs;                                /* calls */
	uint64_t live, cached, slab_free, dirty, lazily_freed; /* active = live + cached + slab_free */
	struct lock_counts mutexes[TOTAL_MUTEXES];
};
#define SNAPSHOT_OWN     "live cached slab_free dirty lazily_freed resident_system huge_backed"
#define SNAPSHOT_LIMIT   "soft hard used above exceeded purges refused"
#define SNAPSHOT_PERCPU  "on cpus bytes"
#define SNAPSHOT_MACHINE "cpus cpus_there memory memory_max memory_high"

/* Takes a new snapshot. EAGAIN: no memory for it; the old one stays. */
int snapshot_refresh(void);
/* Refreshes so far, and one. */
uint64_t snapshot_epoch(void);

/* Is there such an arena, or sum (4096, 4097)? / How many arenas there are. */
bool snapshot_has(size_t arena);
unsigned snapshot_arenas(void);

struct snapshot_totals snapshot_totals(void);

#endif
