/* The names thread.*: what each reads and writes, what it changes, and its errors. */
// ctest-also: MALLOC_CONF=percpu_cache:true
#include "ctl.h"

#include <pthread.h>
#include <stdatomic.h>

/* Runs the body in a new thread: its settings end with it. */
static void in_thread(void *(*body)(void *), void *argument) {
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, body, argument) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

#define THREAD_TEST(name) \
	static void *name##_body(void *); \
	static void name(void **state) { \
		in_thread(name##_body, state); \
	} \
	static void *name##_body(__attribute__((unused)) void *argument)

/* -- arena ----------------------------------------------------------------------------------------------- */

static unsigned threads_of(unsigned arena) {
	char name[64];
	(void)snprintf(name, sizeof name, "stats.arenas.%u.nthreads", arena);
	CHECK(CTL_SET(uint64_t, "epoch", 1) == 0);
	unsigned threads = 0;
	(void)ctl_read(name, &threads, sizeof threads);
	return threads;
}

THREAD_TEST(arena_moves_the_thread) {
	unsigned own = CTL_GET(unsigned, "thread.arena"), other = own == 0 ? 1 : 0;
	unsigned limit = CTL_GET(unsigned, "arenas.narenas");
	CHECK(own < limit);
	if (limit < 2)
		return NULL;
	size_t size = sizeof own;
	unsigned old = 4711;
	CHECK(ctl("thread.arena", &old, &size, &other, sizeof other) == 0);
	CHECK(old == own && CTL_GET(unsigned, "thread.arena") == other);
	CHECK(threads_of(other) >= 1);
	unsigned before = threads_of(other);
	CHECK(CTL_SET(unsigned, "thread.arena", own) == 0);
	CHECK(threads_of(other) == before - 1);
	return NULL;
}

THREAD_TEST(arena_refuses) {
	unsigned own = CTL_GET(unsigned, "thread.arena"), limit = CTL_GET(unsigned, "arenas.narenas");
	CHECK(CTL_SET(unsigned, "thread.arena", limit) == EFAULT);
	CHECK(CTL_SET(unsigned, "thread.arena", UINT32_MAX) == EFAULT);
	CHECK(CTL_SET(uint64_t, "thread.arena", 0) == EINVAL);
	unsigned other = own == 0 ? 1 : 0;
	uint64_t room;
	size_t size = sizeof room; /* a wrong size of the old value keeps the thread where it is */
	CHECK(ctl("thread.arena", &room, &size, &other, sizeof other) == EINVAL && size == sizeof own);
	CHECK(CTL_GET(unsigned, "thread.arena") == own);
	return NULL;
}

static bool is_made(unsigned arena) {
	char name[64];
	unsigned threads;
	(void)snprintf(name, sizeof name, "stats.arenas.%u.nthreads", arena);
	return ctl_read(name, &threads, sizeof threads) == 0;
}

THREAD_TEST(arena_makes_automatic_ones) {
	unsigned last = CTL_GET(unsigned, "opt.narenas") - 1;
	CHECK(CTL_SET(unsigned, "thread.arena", last) == 0);
	CHECK(CTL_SET(uint64_t, "epoch", 1) == 0);
	CHECK(is_made(last) && CTL_GET(unsigned, "thread.arena") == last);
	return NULL;
}

/* -- bytes ----------------------------------------------------------------------------------------------- */

THREAD_TEST(counters_are_live) {
	const uint64_t *allocated = CTL_GET(uint64_t *, "thread.allocatedp");
	const uint64_t *freed = CTL_GET(uint64_t *, "thread.deallocatedp");
	CHECK(CTL_GET(uint64_t *, "thread.allocatedp") == allocated);
	CHECK(*allocated == CTL_GET(uint64_t, "thread.allocated"));
	CHECK(*freed == CTL_GET(uint64_t, "thread.deallocated"));
	for (size_t size = 1; size < 100000; size += size / 3 + 1) {
		uint64_t before = *allocated, freed_before = *freed;
		void *block = malloc(size);
		size_t usable = malloc_usable_size(block);
		CHECK(*allocated - before == usable && *freed == freed_before);
		free(block);
		CHECK(*allocated - before == usable && *freed - freed_before == usable);
	}
	return NULL;
}

THREAD_TEST(peak_follows) {
	CHECK(ctl_do("thread.peak.reset") == 0);
	CHECK(CTL_GET(uint64_t, "thread.peak.read") == 0);
	void *a = malloc(100), *b = malloc(1000000);
	size_t both = malloc_usable_size(a) + malloc_usable_size(b), small = malloc_usable_size(a);
	free(b);
	CHECK(CTL_GET(uint64_t, "thread.peak.read") == both);
	CHECK(ctl_do("thread.peak.reset") == 0);
	CHECK(CTL_GET(uint64_t, "thread.peak.read") == 0);
	free(a);
	CHECK(CTL_GET(uint64_t, "thread.peak.read") == 0);
	a = malloc(100);
	CHECK(CTL_GET(uint64_t, "thread.peak.read") == 0);
	b = malloc(100);
	CHECK(CTL_GET(uint64_t, "thread.peak.read") == small);
	free(a);
	free(b);
	return NULL;
}

/* What is held before the first look counts as well. */
THREAD_TEST(peak_begins_with_what_is_held) {
	void *block = malloc(50000);
	CHECK(CTL_GET(uint64_t, "thread.peak.read") >= 50000);
	free(block);
	CHECK(CTL_GET(uint64_t, "thread.peak.read") >= 50000);
	return NULL;
}

/* -- the cache ------------------------------------------------------------------------------------------- */

/* Does a block that was just freed come back, rather than the lowest of its slab? */
static bool caches(size_t size) {
	enum { BLOCKS = 8 };
	void *block[BLOCKS];
	for (int i = 0; i < BLOCKS; i++)
		CHECK((block[i] = malloc(size)) != NULL);
	free(block[0]);
	free(block[BLOCKS - 1]);
	void *again = malloc(size);
	bool same = again == block[BLOCKS - 1];
	free(again);
	for (int i = 1; i < BLOCKS - 1; i++)
		free(block[i]);
	return same;
}

THREAD_TEST(cache_can_be_switched) {
	CHECK(CTL_GET(bool, "thread.tcache.enabled") && caches(100));
	bool off = false, old = false;
	size_t size = sizeof old;
	CHECK(ctl("thread.tcache.enabled", &old, &size, &off, sizeof off) == 0 && old);
	CHECK(!CTL_GET(bool, "thread.tcache.enabled") && !caches(100));
	CHECK(ctl_do("thread.tcache.flush") == EFAULT);
	size_t asked = 100, most;
	size = sizeof most;
	CHECK(ctl("thread.tcache.ncached_max.read_sizeclass", &most, &size, &asked, sizeof asked) == ENOENT);
	CHECK(CTL_SET(const char *, "thread.tcache.ncached_max.write", "8-16:1") == ENOENT);
	CHECK(ctl_do("thread.idle") == 0);
	CHECK(CTL_SET(bool, "thread.tcache.enabled", true) == 0);
	CHECK(CTL_GET(bool, "thread.tcache.enabled") && caches(100));
	CHECK(ctl_do("thread.tcache.flush") == 0);
	return NULL;
}

THREAD_TEST(cache_max) {
	static const size_t pairs[][2] = {{5000, 5120}, {0, 8},         {8, 8},         {9, 16},
	                                  {112, 112},   {32768, 32768}, {32767, 32768}, {SIZE_MAX, 32768}};
	CHECK(CTL_GET(size_t, "thread.tcache.max") == 32768);
	for (size_t i = 0; i < COUNT_OF(pairs); i++) {
		CHECK(CTL_SET(size_t, "thread.tcache.max", pairs[i][0]) == 0);
		CHECK(CTL_GET(size_t, "thread.tcache.max") == pairs[i][1]);
	}
	CHECK(CTL_SET(size_t, "thread.tcache.max", 100) == 0);
	CHECK(caches(112) && !caches(113));
	CHECK(CTL_SET(unsigned, "thread.tcache.max", 100) == EINVAL);
	CHECK(CTL_SET(bool, "thread.tcache.enabled", false) == 0);
	CHECK(CTL_SET(size_t, "thread.tcache.max", 1000) == 0);
	CHECK(!caches(112) && CTL_GET(size_t, "thread.tcache.max") == 1024);
	CHECK(CTL_SET(bool, "thread.tcache.enabled", true) == 0);
	CHECK(caches(1024) && !caches(1025));
	return NULL;
}

static int most_of(size_t size, size_t *most) {
	size_t length = sizeof *most;
	return ctl("thread.tcache.ncached_max.read_sizeclass", most, &length, &size, sizeof size);
}

static void expect_most(size_t size, size_t expected) {
	size_t most = 4711;
	CHECK(most_of(size, &most) == 0 && most == expected);
}

THREAD_TEST(slots_by_size_class) {
	size_t most, length = sizeof most;
	CHECK(most_of(100, &most) == 0 && most > 0);
	CHECK(CTL_SET(const char *, "thread.tcache.ncached_max.write",
	              "1-128:5|129-256:0|4096-100000:8191|40000-50000:1") == 0);
	expect_most(0, 5);
	expect_most(128, 5);
	expect_most(129, 0);
	expect_most(250, 0);
	expect_most(32768, 8191);
	CHECK(caches(100) && !caches(200));
	CHECK(CTL_SET(const char *, "thread.tcache.ncached_max.write", "129-160:999999") == 0);
	expect_most(160, 8191);
	expect_most(161, 0);
	CHECK(CTL_SET(const char *, "thread.tcache.ncached_max.write", "") == 0);
	expect_most(100, 5);
	CHECK(CTL_SET(size_t, "thread.tcache.max", 64) == 0);
	expect_most(100, 0);
	expect_most(64, 5);
	CHECK(most_of(32769, &most) == EINVAL);
	CHECK(ctl_read("thread.tcache.ncached_max.read_sizeclass", &most, sizeof most) == EINVAL);
	unsigned narrow = 100;
	CHECK(ctl("thread.tcache.ncached_max.read_sizeclass", &most, &length, &narrow, sizeof narrow) ==
	      EINVAL);
	return NULL;
}

THREAD_TEST(slots_refuse_bad_texts) {
	static const char *const bad[] = {"1",      "1-2",   "1-2:",  ":",     "|",
	                                  "1-2:3|", "a-2:3", "1-b:3", "1-2:c", "1-2:3,"};
	static char longest[1001];
	memset(longest, '1', sizeof longest - 1);
	memcpy(longest, "1-2:", 4);
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		CHECK(CTL_SET(const char *, "thread.tcache.ncached_max.write", bad[i]) == EINVAL);
	CHECK(CTL_SET(const char *, "thread.tcache.ncached_max.write", longest) == EINVAL);
	CHECK(CTL_SET(const char *, "thread.tcache.ncached_max.write", NULL) == EINVAL);
	CHECK(ctl_do("thread.tcache.ncached_max.write") == EINVAL);
	return NULL;
}

/* A bin never holds more than it may: the rest is back in the arena when all are freed. */
THREAD_TEST(slots_bound_what_is_held) {
	enum { BLOCKS = 5000 };
	static void *block[BLOCKS];
	CHECK(CTL_SET(const char *, "thread.tcache.ncached_max.write", "1-64:3") == 0);
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < BLOCKS; i++)
			block[i] = malloc(64);
		for (int i = 0; i < BLOCKS; i++)
			free(block[i]);
	}
	int repeated = 0; /* what comes back in the order it was freed */
	for (int i = 0; i < 10; i++)
		repeated += malloc(64) == block[BLOCKS - 1 - i];
	CHECK(repeated <= 3 + 1);
	return NULL;
}

THREAD_TEST(flush_returns_all) {
	void *block = malloc(100), *low = malloc(100);
	free(block);
	CHECK(ctl_do("thread.tcache.flush") == 0);
	CHECK(ctl_do("thread.idle") == 0);
	CHECK(caches(100));
	free(low);
	return NULL;
}

/* -- profiling: api/prof looks further -------------------------------------------------------------------- */

THREAD_TEST(profiling_names) {
	const char *name = CTL_GET(const char *, "thread.prof.name");
	CHECK(name != NULL && *name == 0);
	CHECK(CTL_SET(const char *, "thread.prof.name", "worker 0123456789abcdef") == 0);
	CHECK(strcmp(CTL_GET(const char *, "thread.prof.name"), "worker 01234567") == 0);
	CHECK(CTL_SET(const char *, "thread.prof.name", "new\nline") == EINVAL);
	CHECK(CTL_SET(const char *, "thread.prof.name", NULL) == EINVAL);
	size_t size = sizeof name;
	const char *new = "";
	CHECK(ctl("thread.prof.name", &name, &size, &new, sizeof new) == EPERM);
	CHECK(CTL_SET(const char *, "thread.prof.name", new) == 0);
	CHECK(*CTL_GET(const char *, "thread.prof.name") == 0);
	CHECK(CTL_GET(bool, "thread.prof.active"));
	CHECK(CTL_SET(bool, "thread.prof.active", false) == 0);
	CHECK(!CTL_GET(bool, "thread.prof.active"));
	return NULL;
}

/* -- events ---------------------------------------------------------------------------------------------- */

struct request {
	void (*call)(bool, uint64_t, uint64_t);
	uint64_t interval;
	bool allocations_only;
};

static __thread volatile unsigned calls[2]; /* the compiler knows that malloc calls nobody */
static __thread volatile uint64_t last[2];

static void note(bool is_alloc, uint64_t allocated, uint64_t freed) {
	void *nested = malloc(100); /* allowed, and not seen */
	calls[is_alloc]++;
	last[is_alloc] = is_alloc ? allocated : freed;
	free(nested);
	errno = 4711;
}

static void one(bool is_alloc, uint64_t allocated, uint64_t freed) {
	(void)is_alloc, (void)allocated, (void)freed;
}
static void two(bool is_alloc, uint64_t allocated, uint64_t freed) {
	one(is_alloc, allocated, freed);
}
static void three(bool is_alloc, uint64_t allocated, uint64_t freed) {
	one(is_alloc, freed, allocated);
}
static void four(bool is_alloc, uint64_t allocated, uint64_t freed) {
	one(!is_alloc, freed, allocated);
}

#define HOOK "experimental.hooks.thread_event"

static int hook(void (*call)(bool, uint64_t, uint64_t), uint64_t interval, bool allocations_only) {
	struct request request = {call, interval, allocations_only};
	return ctl_write(HOOK, &request, sizeof request);
}

THREAD_TEST(events_come) {
	void *first = malloc(10);
	struct request request = {note, 10000, false};
	size_t size = sizeof request;
	CHECK(hook(NULL, 100, false) == EINVAL && hook(note, 0, false) == EINVAL);
	CHECK(ctl_write(HOOK, &request, sizeof request - 8) == EINVAL && ctl_do(HOOK) == EINVAL);
	CHECK(ctl(HOOK, &request, &size, &request, sizeof request) == EPERM);
	CHECK(hook(note, 10000, false) == 0);
	free(first);
	errno = 17;
	for (int i = 0; i < 1000; i++)
		free(malloc(1000));
	CHECK(errno == 17);
	CHECK(calls[true] >= 99 && calls[true] <= 103 && calls[false] >= 99 && calls[false] <= 103);
	CHECK(last[true] + 10240 > CTL_GET(uint64_t, "thread.allocated"));
	CHECK(last[false] + 10240 > CTL_GET(uint64_t, "thread.deallocated"));
	return NULL;
}

/* The hook is in place by now: a thread that begins later is seen at once. */
THREAD_TEST(events_in_new_threads) {
	free(malloc(10));
	for (int i = 0; i < 20; i++)
		free(malloc(20000));
	CHECK(calls[true] >= 18 && calls[false] >= 18);
	return NULL;
}

THREAD_TEST(events_of_allocations_only) {
	CHECK(hook(note, 5000, true) == 0);
	free(malloc(10));
	calls[true] = calls[false] = 0;
	for (int i = 0; i < 20; i++)
		free(malloc(20000));
	CHECK(calls[true] >= 18 && calls[false] == 0);
	return NULL;
}

THREAD_TEST(four_events_at_most) {
	CHECK(hook(one, 100, false) == 0 && hook(two, 100, true) == 0 && hook(three, 100, false) == 0);
	CHECK(hook(four, 100, false) == EINVAL);
	CHECK(hook(two, 1000, false) == 0); /* again is fine */
	return NULL;
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arena_moves_the_thread),
		cmocka_unit_test(arena_refuses),
		cmocka_unit_test(arena_makes_automatic_ones),
		cmocka_unit_test(counters_are_live),
		cmocka_unit_test(peak_follows),
		cmocka_unit_test(peak_begins_with_what_is_held),
		cmocka_unit_test(cache_can_be_switched),
		cmocka_unit_test(cache_max),
		cmocka_unit_test(slots_by_size_class),
		cmocka_unit_test(slots_refuse_bad_texts),
		cmocka_unit_test(slots_bound_what_is_held),
		cmocka_unit_test(flush_returns_all),
		cmocka_unit_test(profiling_names),
		cmocka_unit_test(events_come),
		cmocka_unit_test(events_in_new_threads),
		cmocka_unit_test(events_of_allocations_only),
		cmocka_unit_test(four_events_at_most),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
