/* cache.h - floor 5: the thread cache off the fast lane: refill, flush, growth, collection, blocks between threads.
 *
 * A cache belongs to one thread, or is an explicit one: then its users see to it that only one works with it at a time.
 * Nothing here takes a lock itself except the transfer stacks (RANK_TRANSFER) and caches of CPUs (RANK_CPUS); flushing takes
 * BIN and below.
 *
 * With the option percpu_cache blocks are cached per CPU, see percpu.h: a thread's cache then holds none, and counts. */
#ifndef ASHLAR_CACHE_H
#define ASHLAR_CACHE_H

#include "arena/arena.h"
#include "thread/event.h"
#include "cache/bin.h"

/* Bounds of the slots of a bin, given by numbers of blocks: regions of a slab * 2^lg_slabs, at least `least`, at most
 * `most`, even; large classes: `large`. */
struct cache_rule {
	bool set; /* else there are no such bounds */
	int lg_slabs;
	unsigned least, most, large;
};

struct cache_settings {
	bool enabled;       /* new caches hold blocks */
	bool percpu;        /* caches are to be those of CPUs, where the system can */
	unsigned cpus;      /* that share the budget then */
	unsigned max_class; /* largest class that is cached */
	size_t budget; /* bytes that all caches together may come to hold; each thread has an equal share */
	struct cache_rule rule;
	unsigned lg_flush_small; /* a full bin returns at most the 2^n-th part; 0: all if need be */
	unsigned lg_flush_large;
	size_t collect_bytes; /* a look at the next bin for idle blocks each so many visits * 1 KiB; 0: as we see fit */
};
void cache_start(const struct cache_settings *settings);
/* At start, after that: new caches hold at most so many blocks of the class. */
void cache_start_most(unsigned class, unsigned most);

/* How many threads have a cache now: sets each one's share of the budget, and whether blocks travel between threads. */
void cache_note_threads(unsigned count);

/* While memory is short, each has a smaller share: from the next cache_note_threads on. */
void cache_set_short(bool is_short);
/* Whether threads come to the full lane after CACHE_UNIT allocations of a class, or after CACHE_GRANT only. What was
 * granted before is cut when the owner calls cache_keep_pace. */
void cache_set_pace(bool often);
void cache_keep_pace(struct cache *cache);

/* Makes an empty cache, all bins closed, out of a record of sizeof(struct cache) bytes. `shares`: blocks may come from
 * and go to other threads. */
void cache_init(struct cache *cache, struct arena *arena, bool shares);
/* Ties it to another arena. */
void cache_move(struct cache *cache, struct arena *arena, bool shares);

/* The full lane of malloc for a cached class: the bin is empty, spent or closed. What the cache has not got comes from
 * `arena`. A block, which is to be sampled if cache->hit is set now, or NULL: no memory. */
void *cache_take(struct cache *cache, unsigned class, struct arena *arena);
/* The full lane of free: the bin is full or closed, or the block is where the fast lane does not look. */
void cache_give(struct cache *cache, unsigned class, void *block);

/* With caches of CPUs every call is one of the full lane. These serve it if nothing else is to be done: no event is due, the
 * thread need not look at the clock or attend. Else NULL, or false, and nothing was done. Only for caches with `percpu`. */
void *cache_take_at_once(struct cache *cache, unsigned class);
bool cache_give_at_once(struct cache *cache, unsigned class, void *block);

/* -- sampling ------------------------------------------------------------------------------------------------------ */

/* Counts `bytes` allocated past the bins. True: that allocation is to be sampled. */
bool cache_count_down(struct cache *cache, size_t bytes);
/* The same where there may be no sampling, or no cache. */
static inline bool cache_samples(struct cache *cache, size_t bytes) {
	return unlikely(load_relaxed(&event_sampling) != 0) && cache != NULL &&
	       cache_count_down(cache, bytes);
}
/* After event_sampling has changed: what was drawn before counts no more. */
void cache_follow_sampling(struct cache *cache);

/* Is the block among the `most` most recently freed of its class? */
bool cache_holds(const struct cache *cache, unsigned class, const void *block, unsigned most);

/* May it hold blocks of the manual arena? Any thread may ask, of a cache that is not shared with one. */
static inline bool cache_may_hold_of(const struct cache *cache, const struct arena *arena) {
	return load_relaxed(&cache->manual) == arena;
}

/* Returns all blocks to the arenas, and reports the requests served; with `end`, the slot storage goes back too and all
 * bins are closed. A cache without blocks of its own returns, but for the end, those of the CPU it is used on. */
void cache_flush(struct cache *cache, bool end);

/* At the end of a thread, before that: leaves blocks of each class for threads to come, as many as one would hold. */
void cache_bequeath(struct cache *cache);

/* -- limits: each of these closes the cache first ------------------------------------------------------------- */

/* Whether it holds blocks at all. */
bool cache_enabled(const struct cache *cache);
void cache_enable(struct cache *cache, bool enabled);
/* The largest class it holds while it is enabled. */
void cache_set_max(struct cache *cache, unsigned class);
/* Blocks of a class it may come to hold; 0: it holds none. */
unsigned cache_most(const struct cache *cache, unsigned class);
void cache_set_most(struct cache *cache, const uint16_t most[CLASS_COUNT]);

/* -- figures --------------------------------------------------------------------------------------------------- */

/* Bytes allocated from it and freed to it so far, by usable size. Of the calling thread's own. */
uint64_t cache_allocated(const struct cache *cache);
uint64_t cache_freed(const struct cache *cache);
/* Requests of a class served from its bin and not yet reported to the arena. Exact for one's own. */
uint64_t cache_served(const struct cache *cache, unsigned class);

/* Counts bytes that the thread allocated and freed past the bins. */
static inline void cache_count(struct cache *cache, size_t allocated, size_t freed) {
	cache->allocated += allocated;
	cache->freed += freed;
	if (unlikely(cache->front != NULL)) {
		cache->front->allocated += allocated;
		cache->front->freed += freed;
	}
}

/* Bytes of blocks in the cache. Exact for the calling thread's own, a guess for others'. */
size_t cache_bytes(const struct cache *cache);

/* What is in no thread's cache: blocks in transit between threads, and in caches of CPUs. Returns them to the arenas: those
 * of classes without traffic since the last call, or `all`. / Bytes of them. */
void cache_drain_shared(bool all);
size_t cache_shared_bytes(void);

/* Whether caches of CPUs stand in for those of threads; all zero: they do not. */
struct cache_percpu {
	bool on;
	unsigned cpus; /* that hold blocks, or did a moment ago */
	size_t bytes;  /* of blocks they hold: of those in cache_shared_bytes() */
};
struct cache_percpu cache_read_percpu(void);
/* In a forked child. */
void cache_after_fork(void);

/* Debug: stacks are inside their storage, windows hold. */
void cache_audit(const struct cache *cache);

#endif
