// ctest-timeout: 120
/* figures.c - statistics by mallctl: each figure is moved by what it counts, a snapshot stands still until epoch is
 * written, and the indices that are none say so. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/types.h>

#include <cmocka.h>

#include "harness.h"

int SUT(mallctl)(const char *name, void *old, size_t *old_size, void *new_value, size_t new_size);
void *SUT(mallocx)(size_t size, int flags);

#define SIZE   24000 /* of a large block that is cached */
#define HUGE   (5u << 20)
#define BLOCKS 2000
#define A      "stats.arenas."
#define ALL    A "4096."

static void *kept[BLOCKS];

static uint64_t number(const char *name) {
	uint64_t value = 0;
	size_t size = sizeof value;
	int error = SUT(mallctl)(name, &value, &size, NULL, 0);
	if (error == EINVAL) { /* an unsigned */
		size = sizeof(unsigned);
		error = SUT(mallctl)(name, &value, &size, NULL, 0);
	}
	if (error != 0)
		fail_msg("%s: %d", name, error);
	return value;
}

static void refresh(void) {
	uint64_t value = 1;
	assert_int_equal(SUT(mallctl)("epoch", NULL, NULL, &value, sizeof value), 0);
}

static void act(const char *name) {
	assert_int_equal(SUT(mallctl)(name, NULL, NULL, NULL, 0), 0);
}

/* -- what moves them ---------------------------------------------------------------------------------------- */

static void take_small(void) {
	for (int i = 0; i < BLOCKS; i++)
		assert_non_null(kept[i] = malloc(100));
}

static void give_all(void) {
	for (int i = 0; i < BLOCKS; i++) {
		free(kept[i]);
		kept[i] = NULL;
	}
	act("thread.tcache.flush");
}

static void take_large(void) {
	for (int i = 0; i < 50; i++)
		assert_non_null(kept[i] = malloc(SIZE));
}

static void take_huge(void) {
	assert_non_null(kept[0] = malloc(HUGE));
	memset(kept[0], 1, HUGE);
}

/* Slabs with a hole are filled again. */
static void take_and_give_some(void) {
	take_small();
	for (int i = 0; i < BLOCKS; i += 2) {
		free(kept[i]);
		kept[i] = NULL;
	}
	act("thread.tcache.flush");
}

static void take_again(void) {
	for (int i = 0; i < BLOCKS; i++)
		if (kept[i] == NULL)
			assert_non_null(kept[i] = malloc(100));
}

static void purge(void) {
	act("arena.4096.purge");
}

static void realloc_to_nothing(void) {
	void *volatile block = malloc(10);
	void *after = realloc(block, 0);
	free(after);
}

static void free_into_cache(void) {
	void *blocks[20];
	for (int i = 0; i < 20; i++)
		assert_non_null(blocks[i] = malloc(100));
	for (int i = 0; i < 20; i++)
		free(blocks[i]);
}

static void nothing(void) {}

static pthread_barrier_t begin, end;

static void *wait_in_thread(void *unused) {
	free(malloc(100));
	(void)pthread_barrier_wait(&begin);
	(void)pthread_barrier_wait(&end);
	return unused;
}

static pthread_t sleeper;
static void start_thread(void) {
	assert_int_equal(pthread_create(&sleeper, NULL, wait_in_thread, NULL), 0);
	(void)pthread_barrier_wait(&begin);
}
static void end_thread(void) {
	(void)pthread_barrier_wait(&end);
	assert_int_equal(pthread_join(sleeper, NULL), 0);
}

static void sleep_some(void) {
	struct timespec time = {0, 20000000};
	(void)nanosleep(&time, NULL);
}

/* The figure, what is done before it is read, between two readings, and afterwards. */
enum change { GROWS, SHRINKS };
static const struct move {
	const char *name;
	void (*before)(void), (*between)(void), (*after)(void);
	enum change change;
} moves[] = {
	{"stats.allocated", nothing, take_small, give_all, GROWS},
	{"stats.allocated", take_small, give_all, nothing, SHRINKS},
	{"stats.active", nothing, take_huge, give_all, GROWS},
	{"stats.resident", purge, take_huge, give_all, GROWS},
	{"stats.mapped", purge, take_huge, give_all, GROWS},
	{"stats.zero_reallocs", nothing, realloc_to_nothing, nothing, GROWS},
	{"stats.ashlar.live", nothing, take_small, give_all, GROWS},
	{"stats.ashlar.cached", nothing, free_into_cache, give_all, GROWS},
	{"approximate_stats.active", nothing, take_huge, give_all, GROWS},
	{"stats.mutexes.ctl.num_ops", nothing, nothing, nothing, GROWS},
	{"stats.mutexes.background_thread.num_ops", nothing, purge, nothing, GROWS},
	{ALL "pactive", nothing, take_huge, give_all, GROWS},
	{ALL "pdirty", take_huge, give_all, nothing, GROWS},
	{ALL "nthreads", nothing, start_thread, end_thread, GROWS},
	{ALL "uptime", nothing, sleep_some, nothing, GROWS},
	{ALL "small.allocated", nothing, take_small, give_all, GROWS},
	{ALL "small.nmalloc", nothing, take_small, give_all, GROWS},
	{ALL "small.ndalloc", take_small, give_all, nothing, GROWS},
	{ALL "small.nrequests", nothing, take_small, give_all, GROWS},
	{ALL "small.nfills", nothing, take_small, give_all, GROWS},
	{ALL "small.nflushes", take_small, give_all, nothing, GROWS},
	{ALL "large.allocated", nothing, take_large, give_all, GROWS},
	{ALL "large.nmalloc", nothing, take_large, give_all, GROWS},
	{ALL "large.ndalloc", take_large, give_all, nothing, GROWS},
	{ALL "large.nrequests", nothing, take_large, give_all, GROWS},
	{ALL "large.nfills", nothing, take_large, give_all, GROWS},
	{ALL "large.nflushes", take_large, give_all, nothing, GROWS},
	{ALL "bins.7.nmalloc", nothing, take_small, give_all, GROWS},
	{ALL "bins.7.ndalloc", take_small, give_all, nothing, GROWS},
	{ALL "bins.7.nrequests", nothing, take_small, give_all, GROWS},
	{ALL "bins.7.nfills", nothing, take_small, give_all, GROWS},
	{ALL "bins.7.nflushes", take_small, give_all, nothing, GROWS},
	{ALL "bins.7.nslabs", nothing, take_small, give_all, GROWS},
	{ALL "bins.7.nreslabs", take_and_give_some, take_again, give_all, GROWS},
	{ALL "bins.7.curregs", nothing, take_small, give_all, GROWS},
	{ALL "bins.7.curslabs", nothing, take_small, give_all, GROWS},
	{ALL "bins.7.nonfull_slabs", nothing, take_and_give_some, give_all, GROWS},
	{ALL "bins.7.mutex.num_ops", nothing, take_small, give_all, GROWS},
	{ALL "lextents.2.nmalloc", nothing, take_large, give_all, GROWS},
	{ALL "lextents.2.ndalloc", take_large, give_all, nothing, GROWS},
	{ALL "lextents.2.nrequests", nothing, take_large, give_all, GROWS},
	{ALL "lextents.2.curlextents", nothing, take_large, give_all, GROWS},
	{ALL "lextents.33.curlextents", nothing, take_huge, give_all, GROWS},
	{ALL "tcache_bytes", nothing, free_into_cache, give_all, GROWS},
	{ALL "mutexes.large.num_ops", nothing, take_large, give_all, GROWS},
	{ALL "mutexes.extents_retained.num_ops", nothing, take_huge, give_all, GROWS},
	{ALL "mutexes.base.num_ops", nothing, start_thread, end_thread, GROWS},
	{ALL "mutexes.tcache_list.num_ops", nothing, start_thread, end_thread, GROWS},
};

static void check_move(const struct move *move) {
	move->before();
	refresh();
	uint64_t before = number(move->name);
	move->between();
	if (strncmp(move->name, "approximate", 11) != 0)
		assert_int_equal(number(move->name), before);
	refresh();
	uint64_t after = number(move->name);
	move->after();
	bool good = move->change == GROWS ? after > before : after < before;
	if (!good)
		fail_msg("%s: %llu, then %llu", move->name, (unsigned long long)before,
		         (unsigned long long)after);
}

static void test_moves(void **state) {
	(void)state;
	(void)pthread_barrier_init(&begin, NULL, 2);
	(void)pthread_barrier_init(&end, NULL, 2);
	for (size_t i = 0; i < sizeof moves / sizeof *moves; i++)
		check_move(&moves[i]);
}

static void test_purge(void **state) {
	(void)state;
	take_huge();
	give_all();
	refresh();
	uint64_t dirty = number(ALL "pdirty"), purged = number(ALL "dirty_purged"),
		 calls = number(ALL "dirty_nmadvise");
	assert_true(dirty >= HUGE / 4096);
	purge();
	refresh();
	assert_int_equal(number(ALL "pdirty"), 0);
	assert_true(number(ALL "dirty_purged") >= purged + dirty);
	assert_true(number(ALL "dirty_nmadvise") > calls);
}

static void test_epoch(void **state) {
	(void)state;
	uint64_t before = number("epoch"), value = 77, now = 0;
	size_t size = sizeof now;
	assert_int_equal(SUT(mallctl)("epoch", &now, &size, &value, sizeof value), 0);
	assert_int_equal(now, before + 1);
	assert_int_equal(number("epoch"), before + 1);
}

static void test_sums(void **state) {
	(void)state;
	char name[100];
	uint64_t bytes = 0;
	take_small();
	take_large();
	refresh();
	for (unsigned bin = 0; bin < 36; bin++) {
		(void)snprintf(name, sizeof name, "arenas.bin.%u.size", bin);
		uint64_t size = number(name);
		(void)snprintf(name, sizeof name, ALL "bins.%u.curregs", bin);
		bytes += number(name) * size;
	}
	assert_int_equal(bytes, number(ALL "small.allocated"));
	assert_int_equal(number("stats.allocated"), bytes + number(ALL "large.allocated"));
	assert_int_equal(number("stats.active"), number(ALL "pactive") * 4096);
	assert_true(number("stats.active") >= number("stats.allocated"));
	assert_true(number("stats.resident") >= number("stats.active"));
	assert_int_equal(number("stats.metadata"), number(ALL "base") + number(ALL "internal"));
	assert_int_equal(number("stats.allocated"),
	                 number("stats.ashlar.live") + number("stats.ashlar.cached"));
	give_all();
}

static bool is_made(unsigned arena) {
	char name[64];
	bool made = false;
	size_t size = sizeof made;
	(void)snprintf(name, sizeof name, "arena.%u.initialized", arena);
	assert_int_equal(SUT(mallctl)(name, &made, &size, NULL, 0), 0);
	return made;
}

/* Bytes of free runs of an arena, of all sizes. */
static uint64_t sum_extents(unsigned arena, const char *leaf) {
	char name[100];
	uint64_t sum = 0;
	for (unsigned i = 0; i < 199; i++) {
		(void)snprintf(name, sizeof name, A "%u.extents.%u.%s", arena, i, leaf);
		sum += number(name);
	}
	return sum;
}

/* An arena with muzzy pages beside others: what all have is what each has, and the names in plain words say it too. */
static void test_sums_of_pages(void **state) {
	static const char *const leaves[] = {"dirty_bytes", "muzzy_bytes", "retained_bytes"};
	unsigned own, count = (unsigned)number("arenas.narenas");
	size_t size = sizeof own;
	ssize_t at_once = 0, never = -1;
	char name[64];
	(void)state;
	assert_int_equal(SUT(mallctl)("arenas.create", &own, &size, NULL, 0), 0);
	count += own == count;
	(void)snprintf(name, sizeof name, "arena.%u.muzzy_decay_ms", own);
	assert_int_equal(SUT(mallctl)(name, NULL, NULL, &never, sizeof never), 0);
	assert_non_null(SUT(mallocx)(256u << 10, (int)((own + 1) << 20))); /* keeps the chunk */
	free(SUT(mallocx)(1u << 20, (int)((own + 1) << 20)));
	(void)snprintf(name, sizeof name, "arena.%u.dirty_decay_ms", own);
	assert_int_equal(SUT(mallctl)(name, NULL, NULL, &at_once, sizeof at_once), 0);
	take_huge();
	give_all();
	refresh();
	for (unsigned i = 0; i < sizeof leaves / sizeof *leaves; i++) {
		uint64_t all = sum_extents(4096, leaves[i]), each = 0;
		for (unsigned arena = 0; arena < count; arena++)
			each += is_made(arena) ? sum_extents(arena, leaves[i]) : 0;
		if (all == 0)
			fail_msg("no %s", leaves[i]);
		assert_int_equal(all, each);
	}
	assert_int_equal(number("stats.ashlar.lazily_freed"), number(ALL "pmuzzy") * 4096);
	assert_int_equal(number("stats.ashlar.dirty"), number(ALL "pdirty") * 4096);
	assert_int_equal(number("stats.retained"), number(ALL "retained"));
	assert_int_equal(number("stats.mapped"), number(ALL "mapped"));
	(void)snprintf(name, sizeof name, "arena.%u.destroy", own);
	act(name);
}

/* The page map is part of the metadata, whoever's memory it tells of: 9 bytes a page. */
static void test_map_of_own_pool(void **state) {
	unsigned arena;
	size_t size = sizeof arena;
	char name[64];
	(void)state;
	assert_int_equal(SUT(mallctl)("arenas.create", &arena, &size, NULL, 0), 0);
	refresh();
	uint64_t map = number("stats.metadata_rtree"), metadata = number("stats.metadata");
	void *block = SUT(mallocx)(256u << 20, (int)((arena + 1) << 20));
	assert_non_null(block);
	refresh();
	assert_true(number("stats.metadata_rtree") >= map + (256u << 20) / 4096 * 9);
	assert_true(number("stats.metadata") >= metadata + (256u << 20) / 4096 * 9);
	assert_int_equal(number(A "0.metadata_rtree"), number("stats.metadata_rtree"));
	(void)snprintf(name, sizeof name, "arena.%u.destroy", arena);
	act(name);
}

static void test_indices(void **state) {
	(void)state;
	static const char *const bad[] = {A "99.pactive",
	                                  A "4097.pactive",
	                                  A "4098.pactive",
	                                  A "x.pactive",
	                                  A "-1.pactive",
	                                  A "0.bins.36.nmalloc",
	                                  A "0.lextents.196.nmalloc",
	                                  A "0.extents.199.ndirty",
	                                  A "0.hpa_shard.nonfull_slabs.64.nactive_huge",
	                                  A "0.hpa_shard.alloc.9.ps",
	                                  A "0.small.resident",
	                                  A "0.bins.0",
	                                  A "0",
	                                  "stats.mutexes.ctl",
	                                  "stats.mutexes.large.num_ops"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		uint64_t value;
		size_t size = sizeof value;
		if (SUT(mallctl)(bad[i], &value, &size, NULL, 0) != ENOENT)
			fail_msg("%s is there", bad[i]);
	}
	assert_int_equal(number(A "0junk.pactive"), number(A "0.pactive"));
}

/* The node where an arena was made; sums have none. */
static void test_node(void **state) {
	(void)state;
	assert_true(number(A "0.numa_node") < 1024);
	assert_int_equal(number(ALL "numa_node"), UINT32_MAX);
}

/* -- locks ---------------------------------------------------------------------------------------------------- */

/* Threads that all use one arena's bins. */
static void *hammer(void *unused) {
	for (int round = 0; round < 300; round++) {
		void *blocks[200];
		for (int i = 0; i < 200; i++)
			blocks[i] = malloc(HUGE / 100);
		for (int i = 0; i < 200; i++)
			free(blocks[i]);
	}
	return unused;
}

static uint64_t contention(const char *what) {
	char name[100];
	uint64_t sum = 0;
	static const char *const locks[] = {"large", "extents_retained", "base"};
	for (unsigned i = 0; i < 3; i++) {
		(void)snprintf(name, sizeof name, ALL "mutexes.%s.%s", locks[i], what);
		sum += number(name);
	}
	return sum;
}

static void test_locks(void **state) {
	(void)state;
	pthread_t threads[12];
	for (int tries = 0; tries < 20; tries++) {
		for (int i = 0; i < 12; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, hammer, NULL), 0);
		for (int i = 0; i < 12; i++)
			assert_int_equal(pthread_join(threads[i], NULL), 0);
		refresh();
		if (contention("num_wait") > 0 && contention("num_owner_switch") > 0)
			break;
	}
	assert_true(contention("num_ops") > contention("num_wait"));
	assert_true(contention("num_owner_switch") > 0);
	assert_true((contention("num_wait") > 0) == (contention("total_wait_time") > 0));
	assert_true(contention("total_wait_time") >= contention("max_wait_time"));
	assert_true((contention("num_wait") > 0) == (contention("max_num_thds") > 0));
	act("stats.mutexes.reset");
	refresh();
	assert_int_equal(contention("num_wait") + contention("total_wait_time") + contention("max_num_thds"),
	                 0);
	assert_true(number("stats.mutexes.ctl.num_ops") < 100);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_epoch),         cmocka_unit_test(test_moves),
		cmocka_unit_test(test_purge),         cmocka_unit_test(test_sums),
		cmocka_unit_test(test_node),          cmocka_unit_test(test_indices),
		cmocka_unit_test(test_locks),         cmocka_unit_test(test_map_of_own_pool),
		cmocka_unit_test(test_sums_of_pages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
