/* start.c - the one initialisation, by the first call or by the constructor. */
#include <pthread.h>
#include <stdlib.h>
#include "os/os.h"
#include "ctl/ctl.h"
#include "guard/guard.h"
#include "thread/inside.h"

enum { START_NONE, START_READY, START_FAILED };

struct lane lane = {.home = MAP_HOME_NONE};

static _Atomic(int) state;               /* [atomic; written under start_lock] */
static _Atomic(uint32_t) starter;        /* [atomic] id of the thread that is starting, or 0 */
static struct lock start_lock = LOCK_INITIALIZER(RANK_START);

static unsigned default_arenas(void) {
	return os.cpus > 1 ? (unsigned)size_min(os.cpus * 4u, ARENA_LIMIT - 1) : 1;
}

/* Class of the largest block a thread cache takes. */
static unsigned largest_cached(void) {
	if (!opt.tcache)
		return CLASS_NONE;
	return size_class(size_min(opt.tcache_max, CACHED_MAX));
}

static size_t default_budget(void) {
	return os.cpus * 2 * MIB;
}

static bool start(void) {
	os_start();
	guard_start();
	options_start();
	bool fast = word_start();
	struct arena_settings arenas = {
		.limit = opt.narenas != 0 ? (unsigned)size_min(opt.narenas, ARENA_LIMIT - 1) : default_arenas(),
		.decay_ms = {[PAGE_DIRTY] = opt.dirty_decay_ms, [PAGE_MUZZY] = opt.muzzy_decay_ms},
		.hint = fast ? map_open_home() : 0,
	};
	if (!arena_start(&arenas))
		return false;
	cache_start(&(struct cache_settings){
		.max_class = largest_cached(),
		.budget = opt.cache_budget != 0 ? opt.cache_budget : default_budget(),
	});
	if (!thread_prepare_end())
		return false;
	tick_start();
	lane.limit = fast ? CACHED_MAX + 1 : 0;
	lane.home = map_home;
	return true;
}

bool thread_start(void) {
	int now = load_acquire(&state);
	if (likely(now != START_NONE))
		return now == START_READY;
	uint32_t self = os_thread_id();
	if (load_relaxed(&starter) == self) /* called back from our own start: there is nothing to give yet */
		return false;
	lock_take(&start_lock);
	if (load_acquire(&state) == START_NONE) {
		store_relaxed(&starter, self);
		bool done = start();
		store_relaxed(&starter, 0);
		store_release(&state, done ? START_READY : START_FAILED);
	}
	lock_drop(&start_lock);
	return load_acquire(&state) == START_READY;
}

/* What may allocate, and so cannot be done in the first call. */
__attribute__((constructor)) static void at_load(void) {
	if (!thread_start())
		return;
	fork_start();
	if (opt.stats_print)
		(void)atexit(ctl_print_at_exit);
}
