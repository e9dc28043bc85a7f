/* span.h - the record of a run of pages that is handed out as one unit: a slab, or one large block.
 *
 *   base                         base + pages * PAGE
 *   | page | page | ...          |
 *   | region | region | region |x|      slab: x < one region
 *   | block                      |      large: the block begins at base
 *
 * A span lives from page_take to page_give. A large block's record ends before open[]: use SPAN_SIZE(kind). */
#ifndef ASHLAR_META_SPAN_H
#define ASHLAR_META_SPAN_H

#include "util/util.h"

struct arena;
struct chunk;

enum span_kind { SPAN_FREE = 0, SPAN_SLAB, SPAN_LARGE, SPAN_KINDS };

/* For a slab: 0 <= free <= regions, free == number of set bits in open[]. */
struct span {
	uintptr_t base;
	size_t pages;
	struct arena *arena;
	uint32_t class;  /* CLASS_NONE: a large block above CACHED_MAX               [const while live] */
	uint8_t kind;    /* enum span_kind                                           [const while live] */
	uint8_t quarter; /* slab: list of the bin it is in, see arena/slab.c               [bin lock] */
	bool zeroed;     /* every byte reads as zero (known when taken)             [const while live] */
	bool moved_out;  /* its whole chunks went elsewhere: they read as zero       [owner of the block] */
	uint16_t free;   /* slab: regions not handed out                                   [bin lock] */
	uint8_t from;    /* slab: no open region below word `from` of open[]               [bin lock] */
	bool fenced;     /* between two guard pages, which are not in `pages`       [const while live] */
	uint8_t shard;   /* slab: which bin of its class in the arena            [const while live] */
	union {
		uint8_t seen; /* slab: round that saw it, 0 once it is used: see arena/hollow.c [bin lock] */
		_Atomic(bool)
			sampled; /* large: the profiler has a record of it  [owner sets; acquire/release] */
	};
	uint16_t hollow;     /* slab: its pages that were purged                               [bin lock] */
	struct chunk *chunk; /* that it begins in                                    [const while live] */
	struct list link;    /* slab: in its bin; large: in its manual arena              [bin lock] */
	uint64_t open[8];    /* slab: bit i set: region i is free                         [bin lock] */
};
_Static_assert(sizeof(struct span) == 128 && offsetof(struct span, open) == 64, "two cache lines, or one");

#define SPAN_SIZE(kind) ((kind) == SPAN_SLAB ? sizeof(struct span) : offsetof(struct span, open))

#endif
