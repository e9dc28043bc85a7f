/* start.c - the one initialisation, by the first call or by the constructor. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "os/os.h"
#include "ctl/ctl.h"
#include "guard/guard.h"
#include "thread/event.h"
#include "thread/inside.h"

struct lane lane = {.home = MAP_HOME_NONE};

static _Atomic(bool) ready;       /* [atomic; written under start_lock] */
static _Atomic(uint32_t) starter; /* [atomic] id of the thread that is starting, or 0 */
static bool prepared;             /* [start_lock] */
static struct lock start_lock = LOCK_INITIALIZER(RANK_START);

static size_t default_budget(void) {
	return (size_t)os.cpus * 2 * MIB;
}

/* Class of the largest block a thread cache takes. */
static unsigned largest_cached(void) {
	if (!opt.tcache)
		return CLASS_NONE;
	return size_class(size_min(opt.tcache_max, CACHED_MAX));
}

/* The part of the start that cannot fail. */
static void prepare(bool fast) {
	os_start();
	guard_start();
	event_hooks.suspend = word_suspend;
	event_hooks.resume = word_resume;
	event_hooks.suspended = word_suspended;
	options_start();
	arena_prepare(&(struct arena_settings){
		.limit = opt.narenas,
		.decay_ms = {[PAGE_DIRTY] = opt.dirty_decay_ms, [PAGE_MUZZY] = opt.muzzy_decay_ms},
		.hint = fast ? map_open_home() : 0,
	});
	cache_start(&(struct cache_settings){
		.max_class = largest_cached(),
		.budget = opt.cache_budget != 0 ? opt.cache_budget : default_budget(),
	});
	tick_start();
	word_start(fast);
	prepared = true;
}

/* Without memory for the first arena the next call tries again. */
static bool start(bool fast) {
	if (!prepared)
		prepare(fast);
	if (!arena_make_first() || !thread_prepare_end())
		return false;
	lane.home = map_home;
	memcpy(lane.class_of, class_table, sizeof lane.class_of);
	compiler_barrier(); /* the limit opens the lane: last */
	lane.limit = fast ? CACHED_MAX + 1 : 0;
	return true;
}

bool thread_start(void) {
	if (likely(load_acquire(&ready)))
		return true;
	uint32_t self = os_thread_id();
	if (load_relaxed(&starter) == self) /* called back from our own start: there is nothing to give yet */
		return false;
	bool fast =
		os_tls_is_static(); /* before any thread-local variable is touched: locks have some in debug builds */
	lock_take(&start_lock);
	store_relaxed(&starter, self);
	if (!load_acquire(&ready) && start(fast))
		store_release(&ready, true);
	store_relaxed(&starter, 0);
	lock_drop(&start_lock);
	return load_acquire(&ready);
}

/* What may allocate, and so cannot be done in the first call. */
__attribute__((constructor)) static void at_load(void) {
	(void)thread_start();
	fork_start(); /* also after a failure: a later call may start it */
	if (opt.stats_print)
		(void)atexit(ctl_print_at_exit);
}
