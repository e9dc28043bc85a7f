/* prof.h - the observation deck: which code allocated what is live. Beside the stairs.
 *
 * Allocations are sampled as if each byte were, with probability 1 / 2^lg: by the countdown of thread caches (cache/bin.h)
 * and by bytes where no bin is passed. A sampled block stays where it is; a record of it is kept aside:
 *
 *   page of the block --> records of the page         while there are any, the page is marked (meta/map.h), so that every
 *                              |                      block freed there comes by the full lane, which looks for a record
 *                              v
 *                           site = stack x thread x arena --> counts
 *
 *   record    one sampled block                                                      record.c   [SAMPLES]
 *   site      what one thread sampled of one arena under one stack                   count.c    [STACKS]
 *
 *   live bytes that a sample of z bytes stands for = z / (1 - e^(-z / 2^lg))         arith.c
 *
 * It can be switched on and off at any time. While it is off, nothing is paid for it; before it was first switched on,
 * there is not even memory for it. What the profiler itself causes to be allocated is not sampled: the thread is suspended
 * (thread/event.h) meanwhile. Locks: SAMPLES, STACKS, never two at a time, none while a stack is read, a dump is written or
 * a function of the program runs. */
#ifndef ASHLAR_PROF_H
#define ASHLAR_PROF_H

#include "cache/cache.h"

/* -- the full lane ---------------------------------------------------------------------------------------------- */

/* Sampled blocks that live; 0: no free needs a look. [atomic] */
extern _Atomic(size_t) prof_live;

/* Takes note of a block that has just been handed out. `self`: the calling thread's cache; `asked`: bytes of the request.
 * May write a dump: no lock is held. */
void prof_note(struct cache *self, void *block, size_t asked);
/* A block is about to be freed. */
void prof_forget(struct cache *self, const void *block);
static inline void prof_note_free(struct cache *self, const void *block) {
	if (unlikely(load_relaxed(&prof_live) != 0) && map_is_marked(block))
		prof_forget(self, block);
}
/* A block was resized where it lies, and its mark may be gone: as freed and allocated anew. */
void prof_note_resize(void *block, size_t asked);

/* -- start and end ---------------------------------------------------------------------------------------------- */

/* As the options say. Once, after they were read. */
void prof_start(void);
/* What may allocate: at load. */
void prof_at_load(void);
/* The thread that has the cache ends, or does not exist in this process. */
void prof_end_thread(struct cache *cache);

/* -- switches ---------------------------------------------------------------------------------------------------- */

/* Has it been on in this process? */
bool prof_known(void);
bool prof_active(void);
/* May allocate. EAGAIN: no memory for it. */
int prof_set_active(bool active);
bool prof_thread_active_init(void);
void prof_set_thread_active_init(bool active);

/* The power of two. / Forgets all samples; lg is at most 63. */
unsigned prof_lg_sample(void);
void prof_reset(unsigned lg);

/* Of the calling thread. EAGAIN: no memory. The name: EINVAL: a character that is neither printable nor blank. */
#define PROF_NAME_MAX 16u /* with its end */
bool prof_thread_is_active(const struct cache *self);
int prof_set_thread_active(struct cache *self, bool active);
const char *prof_thread_name(const struct cache *self);
int prof_set_thread_name(struct cache *self, const char *name);

/* -- figures ----------------------------------------------------------------------------------------------------- */

/* Of sampled requests of a size class, where the option prof_stats asked for it. */
struct prof_requests {
	uint64_t bytes, count;
};
struct prof_requests prof_requests_small(unsigned class, bool live);
struct prof_requests prof_requests_large(unsigned large, bool live);

/* Sampled blocks that live, raw and as what they stand for. */
struct prof_counts {
	uint64_t objects, bytes;
	uint64_t eighths, weighed; /* the same weighed: objects in 1/8, bytes */
};

#endif
