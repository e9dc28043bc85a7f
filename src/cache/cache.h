/* cache.h - floor 5: the thread cache off the fast lane: refill, flush, growth, collection, blocks between threads.
 *
 * A cache belongs to one thread; nothing here takes a lock itself except the transfer stacks (RANK_TRANSFER). */
#ifndef ASHLAR_CACHE_H
#define ASHLAR_CACHE_H

#include "arena/arena.h"
#include "cache/bin.h"

struct cache_settings {
	unsigned max_class; /* largest class that is cached; CLASS_NONE: no caching */
	size_t budget; /* bytes that all caches together may come to hold; each thread has an equal share */
};
void cache_start(const struct cache_settings *settings);

/* How many threads have a cache now: sets each one's share of the budget, and whether blocks travel between threads. */
void cache_note_threads(unsigned count);

/* Makes an empty, closed cache out of a record of sizeof(struct cache) bytes. */
void cache_init(struct cache *cache, struct arena *arena);

/* The full lane of malloc for a cached class: the bin is empty, spent or closed. A block, or NULL: no memory. */
void *cache_take(struct cache *cache, unsigned class);
/* The full lane of free: the bin is full or closed, or the block is where the fast lane does not look. */
void cache_give(struct cache *cache, unsigned class, void *block);

/* Is the block among the most recently freed of its class? */
bool cache_holds(const struct cache *cache, unsigned class, const void *block);

/* Returns all blocks to the arenas; with `end`, the slot storage too: the record is then only good for cache_init. */
void cache_flush(struct cache *cache, bool end);

/* Bytes of blocks in the cache. Exact for the calling thread's own, a guess for others'. */
size_t cache_bytes(const struct cache *cache);

/* Returns blocks in transit to the arenas: those of classes without traffic since the last call, or `all`. */
void transfer_drain(bool all);
size_t transfer_bytes(void);

/* Debug: stacks are inside their storage, windows hold. */
void cache_audit(const struct cache *cache);

#endif
