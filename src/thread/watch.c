/* watch.c - threads whose every call must be seen, and what is told to whom.
 *
 * A watched thread's word points at a front: a cache with all bins closed, so that every call goes to the full lane and
 * finds the real cache behind it. There the cache floor keeps front.allocated and front.freed in step with each call.
 *
 *   wants to watch       one thread       thread.allocatedp, thread.deallocatedp, thread.peak
 *                        all threads      thread_event hooks, stats_interval
 *
 * A thread begins by itself, when it is born or next comes to the full lane and finds `attend` set; it goes on to its end.
 * Callbacks run in the full lane after the call was served, no lock held, the thread suspended. */
#include <errno.h>
#include <string.h>
#include "os/os.h"
#include "ctl/ctl.h"
#include "prof/prof.h"
#include "thread/event.h"
#include "thread/inside.h"

#define HOOKS          4
#define INTERVAL_PARTS 64 /* a thread tells the process of its share of stats_interval in so many parts... */
#define INTERVAL_PART  ((uint64_t)(4 * MIB)) /* ...or in parts of this */

enum { ALLOCATED, FREED, COUNTERS };

static struct {
	_Atomic(thread_event *) call;   /* [atomic; written under threads_lock] NULL: and none behind it */
	_Atomic(uint64_t) interval;     /* [atomic; the same] */
	_Atomic(bool) allocations_only; /* [atomic; the same] */
} hooks[HOOKS];

static uint64_t interval, interval_part; /* bytes; 0: no stats_interval   [const after start] */
static _Atomic(uint64_t) told;           /* allocated by all threads, as far as they have told [atomic] */

struct watch {
	struct cache front;             /* first: the word points at it; arena NULL */
	uint64_t base;                  /* allocated - freed at the last reset of the peak */
	int64_t peak;                   /* highest allocated - freed - base since */
	uint64_t next[HOOKS][COUNTERS]; /* when a hook is due; 0: not met yet */
	uint64_t mark;                  /* allocated, when this thread last told */
};

static struct watch *watch_of(struct cache *front) {
	return container_of(front, struct watch, front);
}

STARTUP void watch_start(void) {
	if (opt.stats_interval >= 0) {
		interval = (uint64_t)size_max((size_t)opt.stats_interval, 1);
		interval_part = (uint64_t)size_max(size_min(interval / INTERVAL_PARTS, INTERVAL_PART), 1);
	}
	base_define(BASE_WATCH, sizeof(struct watch));
}

bool watch_all(void) {
	return interval != 0 || load_relaxed(&hooks[0].call) != NULL;
}

struct cache *thread_watch(struct cache *cache) {
	if (cache->front != NULL)
		return cache->front;
	struct watch *watch = base_take(BASE_WATCH, NULL);
	if (watch == NULL)
		return NULL;
	memset(watch, 0, sizeof *watch);
	list_init(&watch->front.link);
	watch->front.behind = cache;
	watch->front.allocated = watch->mark = cache_allocated(cache);
	watch->front.freed = cache_freed(cache);
	watch->peak = (int64_t)(watch->front.allocated - watch->front.freed);
	if (watch->peak < 0)
		watch->peak = 0;
	cache->front = &watch->front;
	store_relaxed(&cache->attend, true);
	word_set(cache->front);
	return cache->front;
}

void watch_end(struct cache *front) {
	base_give(BASE_WATCH, watch_of(front));
}

/* -- peak ------------------------------------------------------------------------------------------------------ */

static void note_peak(struct watch *watch) {
	int64_t now = (int64_t)(watch->front.allocated - watch->front.freed - watch->base);
	if (now > watch->peak)
		watch->peak = now;
}

int thread_peak_read(struct cache *cache, uint64_t *peak) {
	struct cache *front = thread_watch(cache);
	if (front == NULL)
		return EAGAIN;
	*peak = (uint64_t)watch_of(front)->peak;
	return 0;
}

int thread_peak_reset(struct cache *cache) {
	struct cache *front = thread_watch(cache);
	if (front == NULL)
		return EAGAIN;
	watch_of(front)->base = front->allocated - front->freed;
	watch_of(front)->peak = 0;
	return 0;
}

/* -- callbacks ------------------------------------------------------------------------------------------------- */

int thread_on_event(thread_event *call, uint64_t bytes, bool allocations_only) {
	unsigned i = 0;
	if (call == NULL || bytes == 0)
		return EINVAL;
	lock_take(&threads_lock);
	while (i < HOOKS && load_relaxed(&hooks[i].call) != NULL && load_relaxed(&hooks[i].call) != call)
		i++;
	if (i < HOOKS) {
		store_relaxed(&hooks[i].interval, bytes);
		store_relaxed(&hooks[i].allocations_only, allocations_only);
		store_release(&hooks[i].call, call);
	}
	lock_drop(&threads_lock);
	if (i < HOOKS)
		thread_call_all();
	return i < HOOKS ? 0 : EINVAL;
}

static void call_hook(struct watch *watch, unsigned i, thread_event *call) {
	const uint64_t now[COUNTERS] = {watch->front.allocated, watch->front.freed};
	uint64_t bytes = load_relaxed(&hooks[i].interval);
	unsigned counters = load_relaxed(&hooks[i].allocations_only) ? FREED : COUNTERS;
	for (unsigned counter = ALLOCATED; counter < counters; counter++) {
		uint64_t *next = &watch->next[i][counter];
		bool due = *next != 0 && now[counter] >= *next;
		if (*next == 0 || due)
			*next = now[counter] + bytes;
		if (due)
			call(counter == ALLOCATED, now[ALLOCATED], now[FREED]);
	}
}

/* Adds what this thread allocated to what all did; the one that comes across a multiple of the interval reports it. */
static void tell(struct watch *watch) {
	uint64_t bytes = watch->front.allocated - watch->mark;
	if (interval == 0 || bytes < interval_part)
		return;
	watch->mark = watch->front.allocated;
	uint64_t before = add_relaxed(&told, bytes);
	if (before / interval != (before + bytes) / interval && event_hooks.interval != NULL)
		event_hooks.interval();
}

static void follow_cpu(struct cache *cache) {
	if (!arena_per_cpu() || arena_is_manual(cache->arena))
		return;
	struct arena *arena = arena_for_cpu(os_cpu());
	if (arena == NULL || arena == cache->arena)
		return;
	(void)arena_join(arena); /* automatic ones stay */
	arena_leave(cache->arena);
	cache_move(cache, arena, true);
}

static void call_back(struct watch *watch) {
	int saved = errno;
	void *was = word_suspend();
	for (unsigned i = 0; i < HOOKS; i++) {
		thread_event *call = load_acquire(&hooks[i].call);
		if (call == NULL)
			break;
		call_hook(watch, i, call);
	}
	tell(watch);
	word_resume(was);
	errno = saved;
}

NOINLINE void watch_attend(struct cache *cache) {
	expect(lock_none_held());
	/* Taken down first: what is asked from here on raises it again. Swaps, so that none of those who ask is missed. */
	(void)swap_acq_rel(&cache->attend, false);
	thread_flush_if_asked(cache);
	cache_follow_sampling(cache);
	prof_attend();
	follow_cpu(cache);
	bool all = watch_all();
	struct cache *front = all ? thread_watch(cache) : cache->front;
	if (all || front != NULL || arena_per_cpu())
		(void)swap_acq_rel(&cache->attend, true);
	if (front == NULL)
		return;
	note_peak(watch_of(front));
	if (all)
		call_back(watch_of(front));
}

void thread_count_resized(size_t now, size_t before) {
	struct cache *cache = thread_enter();
	if (cache == NULL)
		return;
	cache_count(cache, now, before);
	thread_tick_free(cache, 0);
}
