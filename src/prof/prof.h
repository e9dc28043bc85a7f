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
 * (thread/event.h) meanwhile.
 *
 * Locks: CTL for switches and for names of files, each alone, and around the others by the one who copies the counts;
 * SAMPLES -> STACKS -> BASE, the first two never together; the allocator's own memory is taken under either. A thread whose
 * stack is one of its usual ones (path.c) counts without STACKS. None is held, and none of another floor's, while
 * a stack is read, a dump or a log is written, or a function of the program runs. */
#ifndef ASHLAR_PROF_H
#define ASHLAR_PROF_H

#include <sys/types.h>

#include "cache/cache.h"

/* -- the full lane ---------------------------------------------------------------------------------------------- */

/* Sampled blocks that live; 0: no free needs a look. [atomic] */
extern HIDDEN _Atomic(size_t) prof_live;

/* Takes note of a block that has just been handed out. `self`: the calling thread's cache; `asked`: bytes of the request.
 * May write a dump: no lock is held. */
void prof_note(struct cache *self, void *block, size_t asked);
/* A block is about to be freed. The second of a block above CACHED_MAX, whose span is `span`. */
void prof_forget(struct cache *self, const void *block);
static inline void prof_note_free(struct cache *self, const void *block) {
	if (unlikely(load_acquire(&prof_live) != 0) && map_is_marked(block))
		prof_forget(self, block);
}
static inline void prof_note_free_large(struct cache *self, const struct span *span) {
	if (unlikely(load_acquire(&span->sampled)))
		prof_forget(self, (const void *)span->base);
}

/* Around a change of a block's size where it lies: its record is out of the way meanwhile; NULL: there is none. If the size
 * has changed, that counts as freed and allocated anew, and as a request of `asked` bytes. */
struct sample;
struct sample *prof_lift(const void *block);
void prof_lower(struct sample *lifted, void *block, size_t asked, bool resized);

/* -- start and end ---------------------------------------------------------------------------------------------- */

/* As the options say. Once, after they were read. */
void prof_start(void);
/* What may allocate: at load. */
void prof_at_load(void);
/* The thread that has the cache ends, or does not exist in this process. */
void prof_end_thread(struct cache *cache);
/* In the child: a log that the parent keeps, or is writing, is the parent's alone. None is kept here. */
void prof_after_fork(void);

/* -- switches ---------------------------------------------------------------------------------------------------- */

/* Has it been on in this process? */
bool prof_known(void);
bool prof_active(void);
/* May allocate. */
void prof_set_active(bool active);
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

/* -- stacks and hooks: functions of the program's, called with no lock held, the thread suspended -------------------- */

/* Reads the caller's stack: callers innermost first into frames, at most `most`, and how many. */
typedef void prof_backtrace(void **frames, unsigned *length, unsigned most);
prof_backtrace *prof_reader(void);
void prof_set_reader(prof_backtrace *reader);
typedef void prof_sampled(const void *block, size_t asked, void **frames, unsigned depth, size_t usable);
typedef void prof_sample_freed(const void *block, size_t usable);
typedef void prof_dumped(const char *file);
prof_sampled *prof_sample_hook(void);
void prof_set_sample_hook(prof_sampled *call);
prof_sample_freed *prof_free_hook(void);
void prof_set_free_hook(prof_sample_freed *call);
prof_dumped *prof_dump_hook(void);
void prof_set_dump_hook(prof_dumped *call);

/* -- dumps ----------------------------------------------------------------------------------------------------------- */

/* To a file; NULL: to one whose name is made up. / To an open file. / To a function. 0, EFAULT: it could not be written,
 * ENOMEM or an errno of writing. Blocks nobody while it writes. */
typedef void prof_writer(void *opaque, const void *data, size_t size);
typedef void prof_text_writer(void *opaque, const char *text);
int prof_dump(const char *name);
int prof_dump_to_file(int file);
int prof_dump_to_call(prof_writer *write, void *opaque);
void prof_set_prefix(const char *prefix);
/* In the full lane of a thread that attends: writes a dump if a signal asked for one. */
void prof_attend(void);
uint64_t prof_interval(void); /* bytes; 0: no dumps by volume */
bool prof_gdump(void);
void prof_set_gdump(bool wanted);

/* -- samples one by one ------------------------------------------------------------------------------------------------ */

/* How many of the last samples are remembered; -1: all. / As JSON. 0 or ENOMEM. */
ssize_t prof_recent_max(void);
void prof_set_recent_max(ssize_t most);
int prof_dump_recent(prof_text_writer *write, void *opaque);

/* A log of blocks that come and go, into a file when it stops, at the latest when the process exits; NULL: a name is made up.
 * EFAULT: there is one, there is none, it cannot be written, or the prefix is empty: no names are to be made up. */
int prof_log_start(const char *name);
int prof_log_stop(void);

/* -- figures ----------------------------------------------------------------------------------------------------- */

/* Of sampled requests of a size class, where the option prof_stats asked for it. */
struct prof_requests {
	uint64_t bytes, count;
};
struct prof_requests prof_requests_small(unsigned class, bool live);
struct prof_requests prof_requests_large(unsigned large, bool live);

/* The sum over the locks of records. */
struct lock_counts prof_read_locks(void);

/* Sampled blocks that live, raw and as what they stand for. */
struct prof_counts {
	uint64_t objects, bytes;
	uint64_t eighths, weighed; /* the same weighed: objects in 1/8, bytes */
};

#endif
