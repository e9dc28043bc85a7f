/* thread.h - the stairwell: start, per-thread state, exit, fork, time passing, the helper thread.
 *
 * A thread's state is one word of thread-local storage that points at its cache:
 *
 *   thread_unborn   closed   nothing allocated yet: the full lane makes a cache
 *   thread_none     closed   no cache: inside our own slow paths, past its end, caching off
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
extern struct lane lane;

extern struct cache thread_unborn, thread_none; /* [const] */

/* The thread's cache, made now if there is none yet; NULL when it is to do without. Starts the allocator when that has
 * not happened. Takes START, THREADS, ARENAS. */
struct cache *thread_enter(void);

/* Starts the allocator: options, machine, first arena. Any thread, any number of times. False: no memory. */
bool thread_start(void);

/* Called from the full lane of malloc (may start the helper thread) and of free, with no lock held, for a block of `size`
 * bytes: runs overdue decay every now and then, and whenever the block is large. Takes PURGE and below. */
void thread_tick_malloc(const struct cache *cache, size_t size);
void thread_tick_free(const struct cache *cache, size_t size);

/* Flushes the calling thread's cache and blocks in transit, and purges everything that is unused. Returns the number of
 * bytes given back to the system. */
size_t thread_trim(void);

/* Purges what is overdue, or with `all` everything unused, of one arena (NULL: every one) and of the pool. Every purge goes
 * through here: it holds PURGE, so that fork never finds pages in transit. */
void thread_purge(struct arena *arena, bool all);

/* arena_reset and arena_destroy, which must not meet a purge. No cache holds blocks of the arena. */
int thread_reset_arena(struct arena *arena);
int thread_destroy_arena(struct arena *arena);

/* Number of threads that have a cache, and the bytes in all caches and in transit (a snapshot). */
unsigned thread_count(void);
size_t thread_cached_bytes(void);

/* Starts the helper thread now and keeps it / stops it, returns when it is gone, and starts none before one is asked for.
 * 0, or an errno of the thread's creation, which changes nothing. Hold no lock. */
int thread_ask_helper(bool wanted);
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
