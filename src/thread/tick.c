/* tick.c - time passing: overdue decay, and the helper thread that sees to it when nobody else does.
 *
 *   full lane of any thread, out of patience (bin.h):   time up?  -> purge, for all arenas
 *   helper thread (programs with several threads):      sleeps one step, purges, sleeps ...
 *
 * helper:   NONE --asked for, or a malloc finds several threads and a heap of some size--> RUNS --stop--> ENDS --> NONE
 *           RUNS is also the state while pthread_create runs; if that fails: NONE again, retried after a while.
 *           RUNS --helper_thread became false--> NONE         any --fork, in the child--> NONE
 *
 * wake:     AWAKE --the helper goes to sleep for long--> ASLEEP --somebody frees--> AWAKE          any --stop--> LEAVE
 *
 * While no helper runs, threads with a heap of some size come to the full lane more often (cache_set_pace): the clock of a
 * program with one thread is its own calls.
 *
 * The helper is started only by malloc's full lane and by mallctl: free is called by the C library while it holds locks that
 * creating a thread needs. Lock: PURGE; the ticks only try it, so that one thread purges and nobody waits for it. */
#include <errno.h>
#include "os/os.h"
#include "ctl/ctl.h"
#include "guard/guard.h"
#include "thread/inside.h"

#define TICK_SIZE    (256 * KIB) /* blocks from here on are worth a look each time */
#define MS           ((uint64_t)1000000)
#define SECOND       (1000 * MS)
#define STEP_MAX     (50 * MS) /* between two looks at the clock's work */
#define LATE         SECOND    /* how late the helper may be before others do its work */
#define RETRY        (60 * SECOND)
#define QUIET_ROUNDS 10            /* seconds without unused pages before the helper sleeps long... */
#define LONG_SLEEP   (30 * SECOND) /* ...unless it is woken */
#define HEAP_OF_SIZE (4 * MIB)     /* a smaller heap needs no helper, and no hurry */

static _Alignas(CACHE_LINE) struct lock purge_lock = LOCK_INITIALIZER(RANK_PURGE);
static uint64_t step;                /* nanoseconds                     [const after start] */
static _Atomic(uint64_t) next_purge; /* [atomic; written under purge_lock] */
static _Atomic(uint64_t) next_drain; /* [atomic; written under purge_lock] */

enum { HELPER_NONE, HELPER_RUNS, HELPER_ENDS };
enum { WAKE_AWAKE, WAKE_ASLEEP, WAKE_LEAVE };
static _Atomic(uint32_t) helper;     /* [atomic] */
static _Atomic(uint32_t) wake_word;  /* [atomic] */
static _Atomic(uint64_t) next_start; /* [atomic] */
static _Atomic(bool) asked_for;      /* [atomic] what the mallctl name background_thread reads */
static _Atomic(bool) forbidden;      /* [atomic] it was last written false: no start without being asked */
static _Atomic(bool) refused;        /* [atomic] the system refused one asked for, and it was said */
static _Atomic(bool) after_fork; /* [atomic] that there were several threads may have been in the parent */
static _Atomic(uint32_t)
	process;                /* [atomic] the one that may start it: not a child that shares this memory */
static _Atomic(uint64_t) runs;  /* [atomic; written by the helper] */
static _Atomic(uint64_t) slept; /* nanoseconds between runs  [atomic; written by the helper] */

STARTUP void tick_start(void) {
	uint64_t ms = opt.dirty_decay_ms > 0 ? (uint64_t)opt.dirty_decay_ms : (uint64_t)DECAY_STEPS * 50;
	step = size_max(size_min(ms * MS / DECAY_STEPS, STEP_MAX), MS);
	store_relaxed(&asked_for, opt.background_thread);
	store_relaxed(&process, os_process_id());
}

/* A function of the program that a purge calls may allocate, and so come here again: it finds the work being done. */
static _Atomic(uint32_t) purger; /* [atomic; written under purge_lock] id of the thread that purges, or 0 */

static bool is_purging(void) {
	uint32_t id = load_relaxed(&purger);
	return id != 0 && id == os_thread_id();
}

static void purge_begin(void) REQUIRES(purge_lock) {
	store_relaxed(&purger, os_thread_id());
}

static void purge_end(void) RELEASES(purge_lock) {
	store_relaxed(&purger, 0);
	lock_drop(&purge_lock);
}

/* Does what is due at `now`. The caller holds purge_lock. */
static void purge(uint64_t now) REQUIRES(purge_lock) {
	store_relaxed(&next_purge, now + step);
	if (now >= load_relaxed(&next_drain)) {
		store_relaxed(&next_drain, now + SECOND);
		cache_drain_shared(false);
	}
	bool exceeded = limit_exceeded();
	arena_decay_all(now, false);
	if (exceeded)
		arena_give_unused(now);
	audit(arena_audit_all());
}

void thread_purge(struct arena *arena, bool all) {
	uint64_t now = os_now();
	if (is_purging())
		return;
	lock_take(&purge_lock);
	purge_begin();
	if (arena == NULL)
		arena_decay_all(now, all);
	else
		arena_decay(arena, now, all);
	purge_end();
}

/* Before PURGE is taken: it may call functions of the program. */
static void announce_end(const struct arena *arena) {
	if (event_hooks.reset != NULL)
		event_hooks.reset(arena);
}

/* Not inside a purge of this thread's: a function of the program may try. */
int thread_reset_arena(struct arena *arena) {
	if (is_purging() || !arena_is_manual(arena))
		return EFAULT;
	announce_end(arena);
	lock_take(&purge_lock);
	purge_begin();
	int error = arena_reset(arena);
	purge_end();
	if (error == 0 && page_purges_at_once())
		thread_purge(arena, false);
	return error;
}

int thread_destroy_arena(struct arena *arena) {
	if (is_purging() || !arena_retire(arena))
		return EFAULT;
	announce_end(arena);
	lock_take(&purge_lock);
	purge_begin();
	arena_destroy(arena);
	purge_end();
	return 0;
}

/* Moves wake_word on unless somebody else did. */
static bool wake_change(uint32_t from, uint32_t to) {
	return cas_acq_rel(&wake_word, &from, to);
}

/* Here the system has memory, but we may not have more of it. */
static bool reclaim_within_limit(size_t size) {
	struct cache *cache = thread_self();
	if (cache != NULL)
		cache_flush(cache, false);
	cache_drain_shared(true);
	return !limit_refuses(size);
}

bool thread_reclaim(size_t size) {
	if (unlikely(limit_refuses(size)))
		return reclaim_within_limit(size);
	size_t pooled = pool_read_stats(arena_pool()).pooled, space = os_space_limit();
	bool adds_up =
		size < space && (space != SIZE_MAX || !os.overcommits); /* with what is not mapped yet */
	if (pooled == 0 || (size > pooled && !adds_up))
		return false;
	thread_purge(NULL, true);
	return pool_release(arena_pool());
}

static void look_at_clock(uint64_t now) {
	uint64_t due = load_relaxed(&next_purge);
	if (now < due)
		return;
	if (load_relaxed(&helper) != HELPER_NONE) {
		if (load_relaxed(&wake_word) == WAKE_ASLEEP && wake_change(WAKE_ASLEEP, WAKE_AWAKE))
			os_wake(&wake_word, 1);
		if (now < due + LATE)
			return;
	}
	if (lock_try(&purge_lock)) {
		purge_begin();
		purge(now);
		purge_end();
	}
}

/* -- the helper ------------------------------------------------------------------------------------------------ */

static bool helper_stays(void) {
	return load_acquire(&helper) == HELPER_RUNS && (load_relaxed(&asked_for) || opt_now(helper_thread));
}

/* Until the next run: one step where pages wait for it, longer and longer where none do. A LEAVE may have been meant for
 * the helper before this one, so it only means: look again. True: somebody woke it, who may free more in a moment. */
static bool helper_sleep(unsigned quiet) {
	uint64_t before = os_now();
	bool woken = false;
	if (wake_change(WAKE_LEAVE, WAKE_AWAKE))
		return false;
	if (quiet == 0) {
		os_wait(&wake_word, WAKE_AWAKE, step);
	} else if (quiet <= QUIET_ROUNDS) {
		os_wait(&wake_word, WAKE_AWAKE, SECOND);
	} else if (wake_change(WAKE_AWAKE, WAKE_ASLEEP)) {
		os_wait(&wake_word, WAKE_ASLEEP, LONG_SLEEP);
		woken = !wake_change(WAKE_ASLEEP, WAKE_AWAKE);
	}
	add_relaxed(&slept, os_now() - before);
	return woken;
}

static void help(void *argument) {
	(void)argument;
	word_set(&thread_none);
	for (unsigned quiet = 0; helper_stays();) {
		lock_take(&purge_lock);
		purge_begin();
		purge(os_now_coarse());
		bool sweeping = arena_sweeping();
		purge_end();
		add_relaxed(&runs, 1);
		if (arena_count_unused() > 0)
			quiet = 0;
		bool woken = helper_sleep(sweeping ? 0 : quiet);
		quiet = woken ? 0 : quiet + !sweeping;
	}
	store_release(&helper, HELPER_NONE);
	os_wake(&helper, INT_MAX); /* who waits in stop_helper */
}

/* 0, also when it runs already, or an errno. */
static int start_helper(void) {
	uint32_t expected = HELPER_NONE;
	if (os_process_id() != load_relaxed(&process))
		return EAGAIN;
	if (!cas_acq_rel(&helper, &expected, HELPER_RUNS))
		return 0;
	store_relaxed(&wake_word, WAKE_AWAKE);
	void *was = word_suspend(); /* what this allocates is not the program's */
	int error = os_thread_start(help, NULL, "ashlar");
	word_resume(was);
	if (error != 0) {
		store_relaxed(&next_start, os_now_coarse() + RETRY);
		store_release(&helper, HELPER_NONE);
		os_wake(&helper, INT_MAX);
	}
	return error;
}

static void await_end(void) {
	while (load_acquire(&helper) == HELPER_ENDS)
		os_wait(&helper, HELPER_ENDS, SECOND);
}

/* Returns when it has done its last work. */
static void stop_helper(void) {
	uint32_t state = HELPER_RUNS;
	if (cas_acq_rel(&helper, &state, HELPER_ENDS)) {
		store_release(&wake_word, WAKE_LEAVE);
		os_wake(&wake_word, 1);
	}
	await_end();
}

static bool heap_of_size(void) {
	return pool_mapped(arena_pool()) >= HEAP_OF_SIZE;
}

/* The C library goes on saying so in a forked child that has but one. */
static bool several_threads(void) {
	return thread_count() > 1 || (!load_relaxed(&after_fork) && os_several_threads());
}

static void warn_refused(int error) {
	guard_warn("<ashlar>: background thread creation failed (%d)\n", error);
}

static void consider_helper(uint64_t now) {
	if (load_relaxed(&helper) != HELPER_NONE || now < load_relaxed(&next_start))
		return;
	bool useful =
		!load_relaxed(&forbidden) && opt_now(helper_thread) && several_threads() && heap_of_size();
	bool asked = load_relaxed(&asked_for);
	int error = useful || asked ? start_helper() : 0;
	if (error == 0 || !asked || load_relaxed(&refused))
		return;
	store_relaxed(&refused, true);
	warn_refused(error);
}

bool thread_ask_helper(bool wanted) {
	if (is_purging()) /* by the helper itself, or while it waits to purge */
		return false;
	if (!wanted) {
		store_relaxed(&forbidden, true);
		store_relaxed(&asked_for, false);
		stop_helper();
		return true;
	}
	await_end();
	int error = start_helper();
	if (error != 0) {
		warn_refused(error);
		return false;
	}
	store_relaxed(&forbidden, false);
	store_relaxed(&asked_for, true);
	return true;
}

bool thread_helper_asked(void) {
	return load_relaxed(&asked_for);
}

bool thread_helper_runs(void) {
	return load_relaxed(&helper) == HELPER_RUNS;
}

struct helper_stats thread_read_helper(void) {
	return (struct helper_stats){load_relaxed(&runs), load_relaxed(&slept)};
}

void tick_forget_helper(void) {
	store_relaxed(&helper, HELPER_NONE);
	store_relaxed(&asked_for, false);
	store_relaxed(&next_start, 0);
	store_relaxed(&wake_word, WAKE_AWAKE);
	store_relaxed(&runs, 0);
	store_relaxed(&slept, 0);
	store_relaxed(&after_fork, os_several_threads());
	store_relaxed(&process, os_process_id());
}

/* -- ticks ----------------------------------------------------------------------------------------------------- */

static void keep_pace(struct cache *cache) {
	cache_set_pace(load_relaxed(&helper) == HELPER_NONE && heap_of_size());
	if (cache != NULL)
		cache_keep_pace(cache);
}

/* A new cache has no patience: a new thread may be what makes the helper useful. */
static bool is_time(struct cache *cache, size_t size) {
	if (cache == NULL)
		return true;
	cache->patience -= CACHE_VISIT;
	if (likely(cache->patience > 0 && size < TICK_SIZE))
		return false;
	cache->patience = CACHE_PATIENCE;
	return true;
}

/* The coarse clock stands still for some milliseconds: who has looked at it meanwhile need not do more. */
static bool has_looked(struct cache *cache, uint64_t now) {
	if (cache == NULL)
		return false;
	bool looked = cache->looked == now;
	cache->looked = now;
	return looked;
}

void thread_tick_malloc(struct cache *cache, size_t size) {
	if (cache != NULL && unlikely(load_relaxed(&cache->attend)))
		watch_attend(cache);
	if (likely(!is_time(cache, size)))
		return;
	if (cache == NULL && is_purging())
		return;
	expect(lock_none_held()); /* the helper's creation allocates */
	uint64_t now = os_now_coarse();
	if (likely(has_looked(cache, now)))
		return;
	thread_bury_others();
	look_at_clock(now);
	keep_pace(cache);
	if (cache != NULL)
		consider_helper(now);
}

void thread_tick_free(struct cache *cache, size_t size) {
	if (cache != NULL && unlikely(load_relaxed(&cache->attend)))
		watch_attend(cache);
	if (unlikely(page_purges_at_once()))
		thread_purge(NULL, false);
	if (likely(!is_time(cache, size)) || (cache == NULL && is_purging()))
		return;
	uint64_t now = os_now_coarse();
	if (likely(has_looked(cache, now)))
		return;
	look_at_clock(now);
	keep_pace(cache);
}
