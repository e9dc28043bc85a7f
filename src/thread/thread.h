/* thread.h - the stairwell: start, per-thread state, exit, fork, time passing, the helper thread.
 *
 * A thread's state is one word of thread-local storage that points at its cache:
 *
 *   thread_unborn   closed   nothing allocated yet: the full lane makes a cache
 *   a front         closed   every call must be seen; the cache is behind it
 *   thread_none     closed   no cache: inside our own slow paths, past its end
 *   thread_suspended closed  no cache: inside a function of the program's that we call
 *   its cache                the fast lane
 *
 *     thread_unborn --first call--> thread_none (while being born) --> cache --destructors--> thread_none, for good
 *
 * Locks: START, PURGE, THREADS (lock.h); each function says what it takes. */
#ifndef ASHLAR_THREAD_H
#define ASHLAR_THREAD_H

#include "cache/cache.h"

/* What the fast lane needs to know about the process. Zero until started: everything goes to the full lane. */
struct lane {
	size_t limit; /* sizes below may take the fast lane: CACHED_MAX + 1, or 0     [const after start] */
	ptrdiff_t
		word; /* of the thread word from the thread pointer                    [const after start] */
	struct map_home
		home; /* a copy, so that free needs one address                        [const after start] */
	/* a copy of class_table, for the same reason, and CLASS_NONE                [const after start] */
	uint8_t class_of[CACHED_MAX / 8 + 2];
};
extern HIDDEN struct lane lane;

extern HIDDEN struct cache thread_unborn, thread_none, thread_suspended; /* [const] */

/* The thread's cache, made now if there is none yet; NULL when it is to do without. Starts the allocator when that has
 * not happened. Takes START, THREADS, ARENAS. */
struct cache *thread_enter(void);

/* Its cache if it has one now; makes none, starts nothing, takes nothing: for signal handlers. */
struct cache *thread_self(void);

/* Ties the calling thread to another arena: 0; EPERM where arenas go by CPU and this one is automatic; EFAULT: it has been
 * destroyed. When the old arena has lost its last thread and no helper runs, it is purged. Takes PURGE, ARENAS. */
int thread_set_arena(struct cache *cache, struct arena *arena);

/* -- counting and watching ------------------------------------------------------------------------------------- */

/* Counts bytes, by usable size, that the thread allocated or freed without cache_take or cache_give. `cache` may be
 * NULL. */
static inline void thread_count_direct(struct cache *cache, size_t allocated, size_t freed) {
	if (cache != NULL)
		cache_count(cache, allocated, freed);
}
/* The same for a block resized in place; this is the whole visit to the full lane, ticks and all. */
void thread_count_resized(size_t now, size_t before);

/* Puts a front before the calling thread's cache. What is live then: front->allocated and front->freed. NULL: no
 * memory. */
struct cache *thread_watch(struct cache *cache);
/* The highest allocated - freed since the last reset, at least 0. Watches. EAGAIN: no memory for that. */
int thread_peak_read(struct cache *cache, uint64_t *peak);
int thread_peak_reset(struct cache *cache);

/* Asks all threads to attend when they next come to the full lane. Takes THREADS. */
void thread_call_all(void);

/* Calls `call` in every thread about every `interval` bytes it allocates and, unless `allocations_only`, frees, with what it
 * allocated and freed so far. The same `call` again changes its interval. EINVAL: no place is left, or nothing given. */
typedef void thread_event(bool is_alloc, uint64_t allocated, uint64_t freed);
int thread_on_event(thread_event *call, uint64_t interval, bool allocations_only);

/* -- explicit caches: the program sees to it that one thread at a time works with one ------------------------------- */

#define THREAD_CACHES 4094u /* most of them; ids are 0 to 4093 */

/* A new one under the lowest free id, tied to the calling thread's arena if that is an automatic one. EFAULT: no memory,
 * no id. Takes THREADS. */
int thread_cache_create(unsigned *id);
struct cache *thread_cache_at(unsigned id); /* NULL: no such id */
/* The same, but reports and aborts instead. */
struct cache *thread_cache_named(unsigned id);
/* Flushes it; its slots are given back, and taken again when it is next used. */
void thread_cache_flush(unsigned id);
/* The same, and the id is free. */
void thread_cache_destroy(unsigned id);
/* Before the blocks of `arena` are taken away: flushes the calling thread's cache, and of the explicit ones those that
 * blocks of it came to first, of all manual arenas. Others may be in use, and are the program's to flush. */
void thread_flush_explicit(const struct arena *arena);

/* Runs over all caches, explicit ones too, under the THREADS lock. What it reads is a guess where the owner works. */
void thread_each_cache(void (*visit)(const struct cache *, void *), void *opaque);

/* -- the process ------------------------------------------------------------------------------------------------ */

/* Starts the allocator: options, machine, first arena. Any thread, any number of times. False: no memory. */
bool thread_start(void);

/* Called from the full lane of malloc (may start the helper thread) and of free, with no lock held, for a block of `size`
 * bytes: runs overdue decay every now and then, and whenever the block is large. Takes PURGE and below. */
void thread_tick_malloc(struct cache *cache, size_t size);
void thread_tick_free(struct cache *cache, size_t size);

/* Flushes the calling thread's cache and blocks in transit, and purges everything that is unused. Returns the number of
 * bytes given back to the system. */
size_t thread_trim(void);

/* When there is no memory for a request of `size` bytes: gives back all that is unused, address space included. True: it
 * was worth it, and the request may be tried again. Takes PURGE and below. */
bool thread_reclaim(size_t size);

/* Bounds, in bytes, of what the process holds of the system's memory through the allocator; 0: none. Above the soft one
 * unused pages go back at once, thread caches get smaller, and threads get no arenas of their own. Growth beyond the hard
 * one is refused, after all that is unused was given back. Setting takes PURGE and THREADS; it may purge. */
enum limit_kind { LIMIT_SOFT, LIMIT_HARD, LIMITS };
size_t thread_limit(enum limit_kind kind);
void thread_set_limit(enum limit_kind kind, size_t bytes);

struct limit_stats {
	size_t used;       /* bytes that count now */
	bool above;        /* the soft limit is, or was a moment ago, exceeded */
	uint64_t exceeded; /* times that began */
	uint64_t purges;   /* times all unused pages were given back for it */
	uint64_t refused;  /* times the hard limit refused growth */
};
struct limit_stats thread_read_limits(void);

/* Purges what is overdue, or with `all` everything unused, of one arena (NULL: every one) and of the pool. Every purge goes
 * through here: it holds PURGE, so that fork never finds pages in transit. */
void thread_purge(struct arena *arena, bool all);

/* arena_reset and arena_destroy, which must not meet a purge. No cache holds blocks of the arena, and the caller no lock:
 * functions of the program hear of the blocks first. EFAULT: it cannot be, or the calling thread is inside a purge. */
int thread_reset_arena(struct arena *arena);
int thread_destroy_arena(struct arena *arena);

/* Number of threads that have a cache, and the bytes in all caches and in transit (a snapshot). */
unsigned thread_count(void);
size_t thread_cached_bytes(void);

/* Starts the helper thread now and keeps it / stops it, returns when it is gone, and starts none before one is asked for.
 * False, and nothing was changed: the system refused the thread, which was said (guard_warn), or this is inside a purge of
 * the calling thread's, as in an extent hook that the helper runs. Hold no lock. */
bool thread_ask_helper(bool wanted);
/* What was asked for last, at first by the option background_thread. False in a forked child. */
bool thread_helper_asked(void);
/* True in a process where the helper thread runs, asked for or not. */
bool thread_helper_runs(void);

struct helper_stats {
	uint64_t runs;  /* of all helpers of this process so far */
	uint64_t slept; /* nanoseconds between them */
};
struct helper_stats thread_read_helper(void);

#endif
