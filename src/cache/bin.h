/* bin.h - the per-thread stacks of free blocks, as the fast lane sees them.
 *
 *   storage, inside one 64 KiB-aligned window, growing down:
 *
 *        full                    head                      top
 *         v                       v                         v
 *      | unused ... | free slots | block | block | ... | B | 0 |     the word at top stays NULL: what head points at
 *                                                                     can be read even when the bin is empty
 *      blocks held = top - head;    room = head - full
 *
 *   head == full  no block fits any more      (compared by their low 16 bits: the window makes that unique)
 *   head == top   no block is left
 *   left < 0 after counting one: visit the full lane
 *
 *   A closed bin is all zero: empty, full and spent at once. Bin 0 is always closed, so that "class unknown"
 *   needs no test. A thread without a cache looks at one that is all closed.
 *
 *   requests served = grants * CACHE_UNIT - left - withheld   (grants: in the depth record, off the fast lane)
 *
 * `withheld` is not 0 where the full lane wants to see a certain request, and so lets fewer pass than were granted: while
 * allocations are sampled. The one that finds `left` spent is sampled if it is `due`.
 *
 * What a thread allocated and freed is never counted on the fast lane either; it follows from what is:
 *
 *   bytes allocated = sum of served(class) * bytes(class) + allocated
 *   bytes freed     = sum of (served(class) + held(class)) * bytes(class) - net + freed
 *
 * where `net` are bytes brought in by refills less those taken out by flushes, and `allocated` and `freed` what did not
 * pass through a bin.
 *
 * Only the owner thread touches a cache. A forked child finds the stacks of other threads as they were: a push stores
 * the slot before the head, so that whatever lies between head and top is a block. */
#ifndef ASHLAR_CACHE_BIN_H
#define ASHLAR_CACHE_BIN_H

#include "meta/meta.h"

struct arena;
struct prof_thread;

struct cache_bin {
	void **head;
	uint16_t full;  /* low 16 bits of the lowest slot in use */
	uint16_t empty; /* low 16 bits of top */
	int32_t left;
};
_Static_assert(sizeof(struct cache_bin) == 16, "the fast lane scales by 16");

enum cache_event { CACHE_NOTHING, CACHE_MISS, CACHE_OVERFLOW };

struct cache_depth {
	void **top;           /* NULL: closed, no storage yet */
	uint32_t grants;      /* allocations granted and not yet reported, in CACHE_UNIT */
	uint32_t requests;    /* served, at the last collection (low bits) */
	uint16_t depth;       /* blocks the bin may hold */
	uint16_t batch;       /* blocks of the next refill */
	uint16_t held;        /* blocks held at the last collection */
	uint8_t lg_slots;     /* storage is a BASE_SLOTS record of 2^lg_slots words */
	unsigned last : 2;    /* enum cache_event */
	unsigned due : 1;     /* the request that finds `left` spent is sampled */
	unsigned turned : 1;  /* from one kind of event to the other, once */
	unsigned shrunk : 1;  /* since the last miss */
	unsigned travels : 1; /* the last batch came from another thread, or was taken for others */
	unsigned foreign : 2; /* blocks sent home before the bin was opened */
};

/* Allocations of a class between two visits to the full lane, at most; and where threads are to come often (see
 * cache_set_pace), so that one that allocates but a hundred times a second looks at the clock every second or so. */
#define CACHE_GRANT 16384
#define CACHE_UNIT  128

/* Storage of less than a cache line: of 2^1 to 2^CACHE_PARTS slots. */
#define CACHE_PARTS 2

/* A look at the clock is due after about so many calls. A visit to the full lane stands for some calls on the fast lane, a
 * full bin for a part of the blocks it held, a grant that was used up for all. */
#define CACHE_PATIENCE 128
#define CACHE_VISIT    8

/* One thread's cache. [owner thread] unless it says otherwise. */
struct cache {
	struct cache_bin bin[CLASS_COUNT];
	struct cache_depth depth[CLASS_COUNT];
	uint16_t most[CLASS_COUNT]; /* blocks a bin may come to hold; 0: none, requests go to the arena */
	uint8_t withheld
		[CLASS_COUNT]; /* of the requests granted, those the fast lane was not told of: below CACHE_UNIT */
	struct arena *arena;  /* NULL: this is not a thread's cache but a closed stand-in */
	struct arena *shared; /* refills from this one may be blocks other threads freed; NULL: none may */
	struct cache *behind; /* of a front: the cache of the same thread            [const] */
	struct cache *front;  /* closed stand-in where every call must be seen, or NULL */
	struct list link;     /* all caches                                   [threads lock] */
	size_t capacity;      /* bytes of blocks all depths allow */
	uint64_t allocated, freed; /* bytes past the bins; of a front: all, up to this moment */
	uint64_t net;              /* bytes into the bins from below, less those out of them */
	uint64_t random;           /* state of chance of sampling */
	uint64_t
		until; /* bytes allocated past the bins until one is sampled, that one included; 0: not drawn yet */
	struct prof_thread *prof; /* the thread in heap profiles; NULL: not there yet */
	uint32_t sampling;        /* the value of event_sampling that what is due was drawn for */
	uint32_t visits;          /* to the full lane with a bin empty or full */
	void **idle_slots
		[CACHE_PARTS]; /* storage of 2, of 4 slots that no bin uses: a chain each; stays with the record */
	uint64_t looked;       /* at the clock last, and it said so */
	uint32_t trims;        /* of them it has heeded: see thread_trim */
	int32_t patience;      /* calls until the thread looks at the clock: none left at 0 or below */
	bool lavish;           /* some bin was granted more than CACHE_UNIT */
	/* the first one of the program's that blocks came from, since the last flush; where `shared` is NULL  [atomic] */
	_Atomic(const struct arena *) manual;
	bool percpu;        /* bins stay closed: blocks come from and go to the CPU's stacks (percpu.h) */
	uint8_t next_class; /* to collect */
	bool hit;      /* the block just taken is to be sampled; whoever takes it looks, and resets this */
	uint8_t limit; /* largest class cached now: max_class, or CLASS_NONE */
	uint8_t max_class;     /* largest class it is to cache while it is enabled */
	_Atomic(bool) attend;  /* the full lane has more to do than to serve the call   [atomic] */
	_Atomic(uint8_t) busy; /* stacks and arenas may disagree: a forked child leaves them alone [atomic] */
};
_Static_assert(sizeof(struct cache) <= 2048, "half a page for an idle thread");

#define LOW16(pointer) ((uint16_t)(uintptr_t)(pointer))

#endif
