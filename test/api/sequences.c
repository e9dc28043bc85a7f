/* What programs do with mallctl and the extended functions, call by call, as their sources have it: redis, Valkey,
 * RocksDB, folly, tikv-jemalloc-ctl, ClickHouse and bind9. */
// ctest-also: MALLOC_CONF=percpu_cache:true
#define _GNU_SOURCE
#include "api.h"

#include <jemalloc/jemalloc.h>
#include <pthread.h>
#include <sys/mman.h>

#define CHUNK ((size_t)2 << 20)

/* -- short ways to call -------------------------------------------------------------------------------------- */

static size_t read_size(const char *name) {
	size_t value = (size_t)-1, size = sizeof value;
	int error = mallctl(name, &value, &size, NULL, 0);
	if (error != 0)
		fail_msg("%s: %s", name, strerror(error));
	assert_int_equal(size, sizeof value);
	return value;
}

static unsigned read_unsigned(const char *name) {
	unsigned value = 0;
	size_t size = sizeof value;
	int error = mallctl(name, &value, &size, NULL, 0);
	if (error != 0)
		fail_msg("%s: %s", name, strerror(error));
	return value;
}

static void act(const char *format, unsigned index) {
	char name[64];
	snprintf(name, sizeof name, format, index);
	int error = mallctl(name, NULL, NULL, NULL, 0);
	if (error != 0)
		fail_msg("%s: %s", name, strerror(error));
}

static uint64_t refresh(void) {
	uint64_t epoch = 1;
	size_t size = sizeof epoch;
	assert_int_equal(mallctl("epoch", &epoch, &size, &epoch, size), 0);
	return epoch;
}

static unsigned new_arena(const extent_hooks_t *hooks) {
	unsigned arena = 0;
	size_t size = sizeof arena;
	assert_int_equal(mallctl("arenas.create", &arena, &size, hooks == NULL ? NULL : &hooks,
	                         hooks == NULL ? 0 : sizeof hooks),
	                 0);
	return arena;
}

/* -- redis ------------------------------------------------------------------------------------------------- */

/* zmalloc_get_allocator_info: the totals, and what is lost in the small bins of all arenas. */
static void redis_allocator_info(void **state) {
	(void)state;
	void *blocks[1000];
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		assert_non_null(blocks[i] = malloc(1000));
	uint64_t before = refresh();
	assert_true(refresh() > before);
	size_t allocated = read_size("stats.allocated"), active = read_size("stats.active"),
	       resident = read_size("stats.resident");
	(void)read_size("stats.retained");
	assert_true(allocated >= COUNT_OF(blocks) * 1024);
	assert_true(active >= allocated);
	assert_true(resident >= active);

	size_t page = read_size("arenas.page");
	assert_int_equal(page, 4096);
	assert_true(read_size("stats.arenas.4096.pactive") * page <= active);
	(void)read_size("stats.arenas.4096.pmuzzy");
	size_t sum = read_size("stats.arenas.4096.small.allocated") +
	             read_size("stats.arenas.4096.large.allocated");
	assert_int_equal(sum, allocated);

	size_t value, size = sizeof value;
	assert_int_equal(mallctl("stats.arenas.4096.small.resident", &value, &size, NULL, 0), ENOENT);
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		free(blocks[i]);
}

/* zmalloc_get_frag_smallbins: bytes of free regions in the slabs of every bin, by sizes read once. */
static void redis_small_bins(void **state) {
	(void)state;
	void *blocks[512];
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		assert_non_null(blocks[i] = malloc(100));
	(void)refresh();
	unsigned bins = read_unsigned("arenas.nbins");
	assert_int_equal(bins, 36);
	size_t regions_of_112 = 0, free_bytes = 0;
	for (unsigned j = 0; j < bins; j++) {
		char name[64];
		uint32_t per_slab;
		size_t size = sizeof per_slab;
		snprintf(name, sizeof name, "arenas.bin.%u.size", j);
		size_t bytes = read_size(name);
		snprintf(name, sizeof name, "arenas.bin.%u.nregs", j);
		assert_int_equal(mallctl(name, &per_slab, &size, NULL, 0), 0);
		snprintf(name, sizeof name, "stats.arenas.%u.bins.%u.curregs", 4096, j);
		size_t regions = read_size(name);
		snprintf(name, sizeof name, "stats.arenas.%u.bins.%u.curslabs", 4096, j);
		size_t slabs = read_size(name);
		assert_true(regions <= slabs * per_slab);
		free_bytes += (slabs * per_slab - regions) * bytes;
		if (bytes == 112)
			regions_of_112 = regions;
	}
	assert_true(regions_of_112 >= COUNT_OF(blocks));
	assert_true(free_bytes < read_size("stats.active"));
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		free(blocks[i]);
}

/* jemalloc_purge and set_jemalloc_bg_thread: the number of arenas as an index, a bool without an old value. */
static void redis_purge_and_background(void **state) {
	(void)state;
	void *blocks[32];
	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		assert_non_null(blocks[i] = malloc(1 << 20));
		memset(blocks[i], 1, 1 << 20);
	}
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		free(blocks[i]);
	(void)refresh();
	size_t full = read_size("stats.resident");
	act("arena.%u.purge", read_unsigned("arenas.narenas"));
	(void)refresh();
	assert_true(read_size("stats.resident") + ((size_t)24 << 20) <= full);

	for (int turn = 0; turn < 2; turn++) {
		bool on = turn == 0, now = false;
		size_t size = sizeof now;
		assert_int_equal(mallctl("background_thread", NULL, 0, &on, 1), 0);
		assert_int_equal(mallctl("background_thread", &now, &size, NULL, 0), 0);
		assert_int_equal(now, on);
	}
}

/* -- Valkey ------------------------------------------------------------------------------------------------ */

struct utilization {
	size_t free_regions, regions, bytes;
};

/* The defragmenter: numbers with the bin put in, then a question about many blocks at once, by numbers. */
static void valkey_defragmentation(void **state) {
	(void)state;
	enum { BLOCKS = 64 };
	void *blocks[BLOCKS];
	for (size_t i = 0; i < BLOCKS; i++)
		assert_non_null(blocks[i] = mallocx(320, MALLOCX_TCACHE_NONE));

	size_t epoch_mib[1], one = 1, size;
	uint64_t epoch = 1;
	assert_int_equal(mallctlnametomib("epoch", epoch_mib, &one), 0);
	assert_int_equal(mallctlbymib(epoch_mib, 1, NULL, NULL, &epoch, sizeof epoch), 0);
	static const char *const fields[] = {"curregs", "curslabs", "nonfull_slabs"};
	size_t values[3];
	for (size_t f = 0; f < COUNT_OF(fields); f++) {
		char name[64];
		size_t mib[6], length = 6;
		snprintf(name, sizeof name, "stats.arenas.%d.bins.0.%s", MALLCTL_ARENAS_ALL, fields[f]);
		assert_int_equal(mallctlnametomib(name, mib, &length), 0);
		assert_int_equal(length, 6);
		mib[4] = 13; /* 320 bytes */
		size = sizeof values[f];
		assert_int_equal(mallctlbymib(mib, length, &values[f], &size, NULL, 0), 0);
	}
	assert_true(values[0] >= BLOCKS);
	assert_true(values[1] >= 1 && values[1] >= values[2]);

	size_t query_mib[3], three = 3;
	struct utilization answers[BLOCKS];
	assert_int_equal(mallctlnametomib("experimental.utilization.batch_query", query_mib, &three), 0);
	size = sizeof answers;
	assert_int_equal(mallctlbymib(query_mib, three, answers, &size, blocks, sizeof blocks), 0);
	for (size_t i = 0; i < BLOCKS; i++) {
		assert_true(answers[i].regions > 1 && answers[i].free_regions < answers[i].regions);
		assert_int_equal(answers[i].bytes % 4096, 0);
		assert_true(answers[i].bytes >= answers[i].regions * 320);
		sdallocx(blocks[i], 320, MALLOCX_TCACHE_NONE);
	}
}

/* -- RocksDB ----------------------------------------------------------------------------------------------- */

static extent_alloc_t *original_alloc;
static _Atomic(size_t) hook_calls;

/* Calls the default function, with its own table, which that function has never seen. */
static void *nodump_alloc(extent_hooks_t *table, void *address, size_t size, size_t alignment, bool *zero,
                          bool *commit, unsigned arena) {
	hook_calls++;
	void *result = original_alloc(table, address, size, alignment, zero, commit, arena);
	if (result != NULL)
		(void)madvise(result, size, MADV_DONTDUMP);
	return result;
}

/* JemallocNodumpAllocator: an arena whose table is the default one but for alloc, with a cache for each user. */
static void rocksdb_nodump_allocator(void **state) {
	(void)state;
	static extent_hooks_t hooks;
	char name[64];
	unsigned arena = new_arena(NULL), cache = 0;
	extent_hooks_t *defaults = NULL, *ours = &hooks;
	size_t size = sizeof defaults;
	snprintf(name, sizeof name, "arena.%u.extent_hooks", arena);
	assert_int_equal(mallctl(name, &defaults, &size, NULL, 0), 0);
	assert_non_null(defaults);
	original_alloc = defaults->alloc;
	hooks = *defaults;
	hooks.alloc = nodump_alloc;
	assert_int_equal(mallctl(name, NULL, NULL, &ours, sizeof ours), 0);
	size = sizeof cache;
	assert_int_equal(mallctl("tcache.create", &cache, &size, NULL, 0), 0);

	int flags = MALLOCX_ARENA(arena) | MALLOCX_TCACHE(cache);
	void *blocks[200];
	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		assert_non_null(blocks[i] = mallocx(i * 500 + 1, flags));
		memset(blocks[i], 7, i * 500 + 1);
		unsigned owner = 0;
		size = sizeof owner;
		assert_int_equal(mallctl("arenas.lookup", &owner, &size, &blocks[i], sizeof blocks[i]), 0);
		assert_int_equal(owner, arena);
	}
	assert_true(hook_calls > 0);
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		dallocx(blocks[i], flags);
	assert_int_equal(mallctl("tcache.destroy", NULL, NULL, &cache, sizeof cache), 0);
	act("arena.%u.destroy", arena);
}

/* -- folly ------------------------------------------------------------------------------------------------- */

/* usingJEMalloc: the counter behind thread.allocatedp moves when something is allocated. */
static void folly_probe(void **state) {
	(void)state;
	uint64_t *counter = NULL;
	size_t size = sizeof counter;
	assert_int_equal(mallctl("thread.allocatedp", &counter, &size, NULL, 0), 0);
	assert_int_equal(size, sizeof counter);
	uint64_t before = *(volatile uint64_t *)counter;
	void *block = malloc(1);
	assert_int_not_equal(*(volatile uint64_t *)counter, before);
	free(block);
	block = mallocx(64, 0);
	block = rallocx(block, 5000, 0);
	assert_non_null(block);
	assert_true(xallocx(block, 5000, 0, 0) >= 5000);
	assert_int_equal(sallocx(block, 0), nallocx(5000, 0));
	sdallocx(block, 5000, 0);
}

static char *huge_memory, *huge_next;
static size_t huge_room;

/* Hands out a mapping piece by piece; everything else is declined. */
static void *huge_alloc(extent_hooks_t *table, void *address, size_t size, size_t alignment, bool *zero,
                        bool *commit, unsigned arena) {
	(void)table;
	(void)arena;
	char *start = (char *)(((uintptr_t)huge_next + alignment - 1) & ~(uintptr_t)(alignment - 1));
	if (address != NULL || start + size > huge_memory + huge_room)
		return NULL;
	huge_next = start + size;
	*zero = *commit = true;
	return start;
}

/* JemallocHugePageAllocator: one arena over a mapping of its own that never shrinks, growing in steps of a limit. */
static void folly_huge_pages(void **state) {
	(void)state;
	static extent_hooks_t hooks = {.alloc = huge_alloc};
	huge_room = 32 * CHUNK;
	huge_memory = huge_next = mmap(NULL, huge_room, PROT_READ | PROT_WRITE,
	                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(huge_memory != MAP_FAILED);
	unsigned arena = new_arena(&hooks);

	size_t mib[3], length = 3, limit = CHUNK;
	assert_int_equal(mallctlnametomib("arena.0.retain_grow_limit", mib, &length), 0);
	mib[1] = arena;
	assert_int_equal(mallctlbymib(mib, length, NULL, NULL, &limit, sizeof limit), 0);
	length = 3;
	ssize_t never = -1, now = 0;
	size_t size = sizeof now;
	assert_int_equal(mallctlnametomib("arena.0.dirty_decay_ms", mib, &length), 0);
	mib[1] = arena;
	assert_int_equal(mallctlbymib(mib, length, NULL, NULL, &never, sizeof never), 0);
	assert_int_equal(mallctlbymib(mib, length, &now, &size, NULL, 0), 0);
	assert_int_equal(now, -1);

	int flags = MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE;
	void *blocks[100];
	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		blocks[i] = mallocx(1 << (i % 18), flags);
		assert_non_null(blocks[i]);
		assert_true((char *)blocks[i] >= huge_memory && (char *)blocks[i] < huge_memory + huge_room);
	}
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		dallocx(blocks[i], flags);
	assert_null(mallocx(64 * CHUNK, flags));
	act("arena.%u.destroy", arena);
	munmap(huge_memory, huge_room);
}

/* -- tikv-jemalloc-ctl ------------------------------------------------------------------------------------- */

static void read_by_mib(const char *name, void *value, size_t wanted) {
	size_t mib[4], length = 4, size = wanted;
	int error = mallctlnametomib(name, mib, &length);
	if (error == 0)
		error = mallctlbymib(mib, length, value, &size, NULL, 0);
	if (error != 0 || size != wanted)
		fail_msg("%s: %s, %zu bytes", name, strerror(error), size);
}

/* Everything it wraps, by numbers, in the type it expects. */
static void tikv_names(void **state) {
	(void)state;
	static const char *const texts[] = {"version", "config.malloc_conf", "opt.dss", "opt.junk"};
	static const char *const bools[] = {"background_thread",
	                                    "opt.abort",
	                                    "opt.zero",
	                                    "opt.tcache",
	                                    "opt.background_thread",
	                                    "opt.stats_print",
	                                    "opt.xmalloc",
	                                    "opt.utrace",
	                                    "opt.prof",
	                                    "opt.prof_active",
	                                    "opt.prof_thread_active_init",
	                                    "opt.prof_final",
	                                    "opt.prof_leak",
	                                    "opt.prof_gdump",
	                                    "opt.prof_accum"};
	static const char *const unsigneds[] = {"arenas.narenas", "opt.narenas"};
	static const char *const sizes[] = {"max_background_threads", "stats.active",   "stats.allocated",
	                                    "stats.mapped",           "stats.metadata", "stats.resident",
	                                    "stats.retained",         "opt.tcache_max", "opt.lg_prof_sample"};
	uint64_t epoch = 0;
	read_by_mib("epoch", &epoch, sizeof epoch);
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		const char *text = NULL;
		read_by_mib(texts[i], &text, sizeof text);
		assert_non_null(text);
	}
	for (size_t i = 0; i < COUNT_OF(bools); i++) {
		bool value;
		read_by_mib(bools[i], &value, sizeof value);
	}
	for (size_t i = 0; i < COUNT_OF(unsigneds); i++) {
		unsigned value = 0;
		read_by_mib(unsigneds[i], &value, sizeof value);
		assert_true(value > 0);
	}
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		size_t value;
		read_by_mib(sizes[i], &value, sizeof value);
	}
	ssize_t interval = 0;
	read_by_mib("opt.lg_prof_interval", &interval, sizeof interval);
	assert_int_equal(interval, -1);
	size_t mib[4], length = 4;
	assert_int_equal(mallctlnametomib("opt.lg_tcache_max", mib, &length), ENOENT);
}

/* thread::allocatedp and deallocatedp: pointers that live as long as the thread, one pair each. */
static void *tikv_thread(void *result) {
	uint64_t *allocated = NULL, *freed = NULL;
	read_by_mib("thread.allocatedp", &allocated, sizeof allocated);
	read_by_mib("thread.deallocatedp", &freed, sizeof freed);
	uint64_t a = *(volatile uint64_t *)allocated, f = *(volatile uint64_t *)freed;
	for (int i = 0; i < 100; i++)
		free(malloc(3000));
	bool right = *(volatile uint64_t *)allocated - a == 100 * 3072 &&
	             *(volatile uint64_t *)freed - f == 100 * 3072;
	*(bool *)result = right;
	return allocated;
}

static void tikv_thread_counters(void **state) {
	(void)state;
	bool right = false, other = false;
	void *mine = tikv_thread(&right), *theirs = NULL;
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, tikv_thread, &other), 0);
	assert_int_equal(pthread_join(thread, &theirs), 0);
	assert_true(right);
	assert_true(other);
	assert_ptr_not_equal(mine, theirs);
}

/* -- ClickHouse -------------------------------------------------------------------------------------------- */

/* SYSTEM JEMALLOC PURGE, its start, and the figures of system.asynchronous_metrics. */
static void clickhouse_control(void **state) {
	(void)state;
	bool prof = true, on = true, off = false;
	read_by_mib("opt.prof", &prof, sizeof prof);
	assert_false(prof);
	size_t most = 4;
	read_by_mib("max_background_threads", &most, sizeof most);
	assert_int_equal(mallctl("max_background_threads", NULL, NULL, &most, sizeof most), 0);
	assert_int_equal(mallctl("background_thread", NULL, NULL, &on, sizeof on), 0);
	assert_int_equal(mallctl("prof.active", NULL, NULL, &off, sizeof off), 0);
	(void)refresh();
	static const char *const sizes[] = {
		"stats.allocated", "stats.active", "stats.metadata", "stats.metadata_thp",
		"stats.resident",  "stats.mapped", "stats.retained", "stats.background_thread.num_threads"};
	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		(void)read_size(sizes[i]);
	uint64_t runs = 0;
	read_by_mib("stats.background_thread.num_runs", &runs, sizeof runs);
	read_by_mib("stats.background_thread.run_interval", &runs, sizeof runs);
	act("arena.%u.purge", MALLCTL_ARENAS_ALL);
	(void)refresh();
	assert_int_equal(read_size("stats.arenas.4096.pdirty"), 0);
	assert_int_equal(mallctl("background_thread", NULL, NULL, &off, sizeof off), 0);
}

/* -- bind9 ------------------------------------------------------------------------------------------------- */

/* isc_mem: an arena for a group of contexts, blocks by mallocx, grown by rallocx, measured, freed with their size. */
static void bind_memory_context(void **state) {
	(void)state;
	unsigned arena = new_arena(NULL);
	ssize_t decay = 1000;
	char name[64];
	snprintf(name, sizeof name, "arena.%u.dirty_decay_ms", arena);
	assert_int_equal(mallctl(name, NULL, NULL, &decay, sizeof decay), 0);
	int flags = MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE;
	size_t in_use = 0;
	unsigned char *blocks[300];
	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		blocks[i] = mallocx(i * 37 + 8, flags | MALLOCX_ZERO | MALLOCX_ALIGN(16));
		assert_non_null(blocks[i]);
		for (size_t at = 0; at < i * 37 + 8; at++)
			assert_int_equal(blocks[i][at], 0);
		blocks[i][i * 37 + 7] = (unsigned char)i;
		in_use += sallocx(blocks[i], flags);
	}
	(void)refresh();
	snprintf(name, sizeof name, "stats.arenas.%u.small.allocated", arena);
	assert_int_equal(read_size(name), in_use);
	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		blocks[i] = rallocx(blocks[i], i * 74 + 16, flags | MALLOCX_ALIGN(16));
		assert_non_null(blocks[i]);
		assert_int_equal(blocks[i][i * 37 + 7], (unsigned char)i);
		sdallocx(blocks[i], sallocx(blocks[i], flags), flags);
	}
	(void)refresh();
	assert_int_equal(read_size(name), 0);
	act("arena.%u.destroy", arena);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(redis_allocator_info),       cmocka_unit_test(redis_small_bins),
		cmocka_unit_test(redis_purge_and_background), cmocka_unit_test(valkey_defragmentation),
		cmocka_unit_test(rocksdb_nodump_allocator),   cmocka_unit_test(folly_probe),
		cmocka_unit_test(folly_huge_pages),           cmocka_unit_test(tikv_names),
		cmocka_unit_test(tikv_thread_counters),       cmocka_unit_test(clickhouse_control),
		cmocka_unit_test(bind_memory_context),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
