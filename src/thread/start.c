/* start.c - the one initialisation, by the first call or by the constructor. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "os/os.h"
#include "ctl/ctl.h"
#include "guard/guard.h"
#include "prof/prof.h"
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

/* What the options say about thread caches; our own rules go where the program has not set others. */
static void start_caches(void) {
	bool small = option_was_set(&opt.lg_tcache_flush_small_div),
	     large = option_was_set(&opt.lg_tcache_flush_large_div);
	cache_start(&(struct cache_settings){
		.enabled = opt.tcache,
		.percpu = opt.percpu_cache,
		.cpus = os.cpus,
		.max_class = size_class(size_min(opt.tcache_max, CACHED_MAX)),
		.budget = opt.cache_budget != 0 ? opt.cache_budget : default_budget(),
		.rule =
			{
				.set = option_was_set(&opt.lg_tcache_nslots_mul) ||
	                               option_was_set(&opt.tcache_nslots_small_min) ||
	                               option_was_set(&opt.tcache_nslots_small_max) ||
	                               option_was_set(&opt.tcache_nslots_large),
				.lg_slabs = (int)opt.lg_tcache_nslots_mul,
				.least = opt.tcache_nslots_small_min,
				.most = opt.tcache_nslots_small_max,
				.large = opt.tcache_nslots_large,
			},
		.lg_flush_small = small ? opt.lg_tcache_flush_small_div : 0,
		.lg_flush_large = large ? opt.lg_tcache_flush_large_div : 0,
		.collect_bytes = option_was_set(&opt.tcache_gc_incr_bytes) ? opt.tcache_gc_incr_bytes : 0,
	});
	unsigned most;
	for (unsigned class = 1; class <= CLASS_LAST; class ++)
		if (option_range(&opt.tcache_ncached_max, class, &most))
			cache_start_most(class, most);
}

/* Options that concern every block keep all threads in the full lane. */
static bool lane_is_closed(void) {
	return opt.junk != JUNK_FALSE || opt.zero || opt.debug_double_free_max_scan != 0;
}

static void check_purge(void) {
	if (opt.trust_madvise || os_try_purge())
		return;
	guard_message("<ashlar>: MADV_DONTNEED does not work (memset will be used instead)\n");
	guard_message("<ashlar>: (This is the expected behaviour if you are running under QEMU)\n");
}

static void prepare_records(void) {
	static const enum base_huge ways[] = {
		[METADATA_THP_DISABLED] = BASE_HUGE_NEVER,
		[METADATA_THP_AUTO] = BASE_HUGE_LATER,
		[METADATA_THP_ALWAYS] = BASE_HUGE_ALWAYS,
	};
	base_start(ways[opt.metadata_thp]);
}

/* Arenas that go by CPU, or by core, where CPUs i and i + half of them are one; 0: they do not. */
static unsigned arenas_by_cpu(void) {
	if (opt.percpu_arena == PERCPU_ARENA_DISABLED)
		return 0;
	if (opt.percpu_arena == PERCPU_ARENA_PERCPU)
		return os.cpus;
	if (os.cpus % 2 != 0) {
		guard_message("<ashlar>: invalid configuration -- per physical CPU arena with odd number "
		              "(%u) of CPUs "
		              "(no hyper threading?).\n",
		              os.cpus);
		if (opt_now(abort))
			os_abort();
	}
	return (os.cpus + 1) / 2;
}

static void prepare_sizes(struct arena_settings *settings) {
	unsigned number;
	size_set_large_classes(!opt.disable_large_size_classes);
	for (unsigned class = 1; class <= CLASS_SMALL_LAST; class ++) {
		if (option_range(&opt.slab_sizes, class, &number))
			size_set_slab(class, number);
		if (option_range(&opt.bin_shards, class, &number))
			settings->shards[class] = (uint8_t)number;
	}
}

static enum page_thp wanted_thp(void) {
	if (opt.thp == THP_DEFAULT && opt.hpa && opt.hpa_hugify_style == HPA_HUGIFY_STYLE_EAGER)
		return PAGE_THP_ALWAYS;
	return opt.thp > (int)THP_NEVER ? PAGE_THP_DEFAULT : (enum page_thp)opt.thp;
}

static void prepare_pages(void) {
	os.purge_batch = opt.process_madvise_max_batch;
	page_prepare(&(struct page_settings){
		.dss = (enum page_dss)opt.dss,
		.thp = wanted_thp(),
		.thp_of_dense = opt.hpa && opt.hpa_hugify_style == HPA_HUGIFY_STYLE_LAZY,
		.thp_collapse = opt.hpa_hugify_sync,
		.thp_threshold = opt.hpa_hugification_threshold,
		.thp_delay = opt.hpa_hugify_delay_ms / 1000,
		.no_retain = !opt.retain,
		.fence_slabs = opt.san_guard_small,
		.fence_larges = opt.san_guard_large,
	});
}

static void prepare_arenas(bool fast) {
	struct arena_settings settings = {
		.by_cpu = arenas_by_cpu(),
		.decay_ms = {[PAGE_DIRTY] = opt.dirty_decay_ms, [PAGE_MUZZY] = opt.muzzy_decay_ms},
		.oversize = opt.oversize_threshold,
		.hint = fast ? map_open_home() : 0,
	};
	if (settings.by_cpu >= ARENA_LIMIT) {
		guard_message("<ashlar>: narenas w/ percpuarena beyond limit (%u)\n", ARENA_LIMIT);
		if (opt_now(abort))
			os_abort();
		settings.by_cpu = 0;
	}
	opt.narenas = (unsigned)size_max(opt.narenas, settings.by_cpu);
	settings.limit = opt.narenas;
	prepare_sizes(&settings);
	arena_prepare(&settings);
}

/* The part of the start that cannot fail. */
static void prepare(bool fast) {
	os_start();
	guard_start();
	event_hooks.interval = ctl_print_interval;
	event_hooks.suspend = word_suspend;
	event_hooks.resume = word_resume;
	event_hooks.suspended = word_suspended;
	event_hooks.grow = limit_grow;
	event_hooks.grown = limit_grown;
	event_hooks.refill = limit_refill;
	options_start();
	check_purge();
	prepare_records();
	prepare_pages();
	prepare_arenas(fast);
	start_caches();
	prof_start();
	watch_start();
	limit_start();
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
	if (lane_is_closed())
		return true;
	lane.home = map_home;
	memcpy(lane.class_of, class_table, sizeof class_table);
	compiler_barrier(); /* the limit opens the lane: last */
	lane.limit = fast ? CACHED_MAX + 1 : 0;
	return true;
}

STARTUP bool thread_start(void) {
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
	fork_start();   /* also after a failure: a later call may start it */
	prof_at_load(); /* what it does at exit comes after the report below */
	(void)os_at_exit(ctl_print_at_exit);
}
