/* tick.c - time passing: overdue decay, and the helper thread that sees to it when nobody else does.
 *
 *   full lane of any thread, every TICK_EVERY visits:   time up?  -> purge, for all arenas
 *   helper thread (programs with several threads):      sleeps one step, purges, sleeps ...
 *
 * helper:   NONE --a malloc finds several threads and a heap of some size--> STARTED --fork, in the child--> NONE
 *           STARTED is also the state while pthread_create runs; if that fails: NONE again, retried after a while.
 *
 * The helper is started only from malloc's full lane: free is called by the C library while it holds locks that creating a
 * thread needs. Lock: PURGE; the ticks only try it, so that one thread purges and nobody waits for it. */
#include "os/os.h"
#include "ctl/ctl.h"
#include "thread/inside.h"

#define TICK_EVERY   16
#define TICK_SIZE    (256 * KIB) /* blocks from here on are worth a look each time */
#define MS           ((uint64_t)1000000)
#define SECOND       (1000 * MS)
#define STEP_MAX     (50 * MS) /* between two looks at the clock's work */
#define LATE         SECOND    /* how late the helper may be before others do its work */
#define RETRY        (60 * SECOND)
#define QUIET_ROUNDS 10            /* seconds without unused pages before the helper sleeps long... */
#define LONG_SLEEP   (30 * SECOND) /* ...unless it is woken */
#define HELPER_HEAP  (4 * MIB)     /* a smaller heap needs no helper */

static struct lock purge_lock = LOCK_INITIALIZER(RANK_PURGE);
static uint64_t step;                /* nanoseconds                     [const after start] */
static _Atomic(uint64_t) next_purge; /* [atomic; written under purge_lock] */
static _Atomic(uint64_t) next_drain; /* [atomic; written under purge_lock] */
static _Atomic(bool) helper_started; /* [atomic] */
static _Atomic(uint64_t) next_start; /* [atomic] */
static _Atomic(uint32_t) wake_word;  /* [atomic] 1: the helper sleeps long and is to be woken */

void tick_start(void) {
	uint64_t ms = opt.dirty_decay_ms > 0 ? (uint64_t)opt.dirty_decay_ms : (uint64_t)DECAY_STEPS * 50;
	step = size_max(size_min(ms * MS / DECAY_STEPS, STEP_MAX), MS);
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
		transfer_drain(false);
	}
	arena_decay_all(now, false);
	audit(arena_audit_all());
}

void thread_purge(struct arena *arena, bool all) {
	uint64_t now = os_now();
	if (is_purging())
		return;
	lock_take(&purge_lock);
	purge_begin();
	if (arena == NULL) {
		arena_decay_all(now, all);
	} else {
		page_decay(&arena->pages, now, all);
		pool_decay(arena_pool(), now, all);
	}
	purge_end();
}

static void look_at_clock(uint64_t now) {
	uint64_t due = load_relaxed(&next_purge);
	if (now < due)
		return;
	if (load_relaxed(&helper_started)) {
		if (load_relaxed(&wake_word) != 0) {
			store_relaxed(&wake_word, 0);
			os_wake(&wake_word, 1);
		}
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

static void help(void *argument) {
	(void)argument;
	word_set(&thread_none);
	for (unsigned quiet = 0;; quiet++) {
		lock_take(&purge_lock);
		purge_begin();
		purge(os_now_coarse());
		purge_end();
		if (arena_count_unused() > 0) {
			quiet = 0;
			os_wait(&wake_word, 0, step);
		} else if (quiet < QUIET_ROUNDS) {
			os_wait(&wake_word, 0, SECOND);
		} else {
			store_relaxed(&wake_word, 1);
			os_wait(&wake_word, 1, LONG_SLEEP);
			store_relaxed(&wake_word, 0);
		}
	}
}

static void consider_helper(uint64_t now) {
	if (load_relaxed(&helper_started) || now < load_relaxed(&next_start))
		return;
	bool several = thread_count() > 1 || os_several_threads();
	bool useful = opt.helper_thread && several && pool_mapped(arena_pool()) >= HELPER_HEAP;
	if (!useful && !opt.background_thread)
		return;
	bool expected = false;
	if (!cas_acq_rel(&helper_started, &expected, true))
		return;
	store_relaxed(&wake_word, 0);
	if (os_thread_start(help, NULL, "ashlar") != 0) {
		store_relaxed(&next_start, now + RETRY);
		store_release(&helper_started, false);
	}
}

bool thread_helper_runs(void) {
	return load_relaxed(&helper_started);
}

void tick_forget_helper(void) {
	store_relaxed(&helper_started, false);
	store_relaxed(&next_start, 0);
	store_relaxed(&wake_word, 0);
}

/* -- ticks ----------------------------------------------------------------------------------------------------- */

/* The first visit counts too: a new thread may be what makes the helper useful. */
static bool is_time(const struct cache *cache, size_t size) {
	return cache == NULL || cache->visits % TICK_EVERY == 1 || size >= TICK_SIZE;
}

void thread_tick_malloc(const struct cache *cache, size_t size) {
	if (likely(!is_time(cache, size)))
		return;
	if (cache == NULL && is_purging())
		return;
	expect(lock_none_held()); /* the helper's creation allocates */
	uint64_t now = os_now_coarse();
	thread_bury_others();
	look_at_clock(now);
	if (cache != NULL)
		consider_helper(now);
}

void thread_tick_free(const struct cache *cache, size_t size) {
	if (unlikely(page_purges_at_once()))
		thread_purge(NULL, false);
	if (likely(!is_time(cache, size)) || (cache == NULL && is_purging()))
		return;
	look_at_clock(os_now_coarse());
}
