/* base.h - memory for the allocator's own records.
 *
 * Bump allocation out of 2 MiB blocks, with a free list per kind of record: records are reused, never given back to
 * the system. All memory is zeroed when first handed out; a reused record keeps what its last user left.
 *
 *   mapped >= allocated = sum of what was bumped off the blocks
 *
 * Lock: RANK_BASE, inside every function; the last rank, so callers may hold any other lock. */
#ifndef ASHLAR_META_BASE_H
#define ASHLAR_META_BASE_H

#include "util/util.h"

/* Which blocks ask for huge pages; the others forbid them. Those that ask begin at a multiple of 2 MiB. */
enum base_huge {
	BASE_HUGE_NEVER,
	BASE_HUGE_LATER, /* from the second on: small programs keep their few pages */
	BASE_HUGE_ALWAYS,
};
/* Called once, before the first block is made; without it: never. */
void base_start(enum base_huge huge);

/* Kinds of records with a free list. Slot storage of 2^n slots of 8 bytes is kind BASE_SLOTS + n. */
enum base_kind {
	BASE_SPAN,
	BASE_SLAB,
	BASE_CHUNK,
	BASE_CACHE,
	BASE_WATCH,
	BASE_POOL,
	BASE_SAMPLE,
	BASE_SITE,
	BASE_PROF_THREAD,
	BASE_RECENT,
	BASE_LOG_ENTRY,
	BASE_LOG_THREAD,
	BASE_SLOTS,
	BASE_SLOTS_MAX_LG = 13, /* 64 KiB: all of a window */
	BASE_KINDS = BASE_SLOTS + BASE_SLOTS_MAX_LG + 1,
};

/* Sets the record size of a kind (bytes; aligned to its size rounded up to a power of two, at most a cache line).
 * Slot kinds are known already, and aligned to their whole size. Called at start. */
void base_define(enum base_kind kind, size_t size);

/* A record of the kind, whose size is known / back to its free list. NULL: no memory. *fresh (may be NULL) tells if it is all zero. */
void *base_take(enum base_kind kind, bool *fresh);
void base_give(enum base_kind kind, void *record);

/* `size` zeroed bytes that are never given back; align is a power of two, at most 64 KiB. NULL: no memory. */
void *base_alloc(size_t size, size_t align);

struct base_stats {
	size_t mapped;     /* bytes of blocks */
	size_t allocated;  /* bytes bumped off them */
	size_t idle;       /* bytes on free lists */
	size_t huge;       /* huge pages asked for: 2 MiB each */
	size_t spans;      /* of allocated: records of runs of pages and of chunks */
	size_t caches;     /* of allocated: thread caches and their slots */
	size_t idle_spans; /* records of runs of pages on free lists */
};
struct base_stats base_read_stats(void);

#endif
