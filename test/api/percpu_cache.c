/* Caches of CPUs: what is asked for and what is so, counts, arenas of the program's, what a flush and idle time give back. */
// ctest: MALLOC_CONF=percpu_cache:true,dirty_decay_ms:200
#include "ctl.h"

#include <pthread.h>
#include <sys/wait.h>

enum { BLOCKS = 500, THREADS = 50 };

static bool is_on(void) {
	return CTL_GET(bool, "stats.ashlar.percpu.on");
}

static size_t held(void) {
	return CTL_GET(size_t, "stats.ashlar.percpu.bytes");
}

static void fill_and_free(size_t size) {
	void *block[BLOCKS];
	for (unsigned i = 0; i < BLOCKS; i++)
		assert_non_null(block[i] = t_malloc(size));
	for (unsigned i = 0; i < BLOCKS; i++)
		t_free(block[i]);
}

static void asked_for_and_there(void **state) {
	(void)state;
	assert_true(CTL_GET(bool, "opt.percpu_cache"));
	assert_true(CTL_GET(bool, "thread.tcache.enabled"));
	size_t cpus = CTL_GET(size_t, "stats.ashlar.percpu.cpus");
	assert_true(is_on() ? cpus >= 1 && cpus <= (size_t)sysconf(_SC_NPROCESSORS_CONF) : cpus == 0);
}

static void counts_are_exact(void **state) {
	(void)state;
	uint64_t allocated = CTL_GET(uint64_t, "thread.allocated"),
		 freed = CTL_GET(uint64_t, "thread.deallocated");
	for (unsigned round = 0; round < 50; round++)
		fill_and_free(96);
	assert_int_equal(CTL_GET(uint64_t, "thread.allocated") - allocated, 50 * BLOCKS * 96);
	assert_int_equal(CTL_GET(uint64_t, "thread.deallocated") - freed, 50 * BLOCKS * 96);
	void *block = t_malloc(20000);
	assert_int_equal(CTL_GET(uint64_t, "thread.allocated") - allocated, 50 * BLOCKS * 96 + 20480);
	t_free(block);
	assert_int_equal(CTL_GET(uint64_t, "thread.deallocated") - freed, 50 * BLOCKS * 96 + 20480);
}

static void requests_are_counted(void **state) {
	(void)state;
	uint64_t epoch = 1;
	assert_int_equal(CTL_SET(uint64_t, "epoch", epoch), 0);
	uint64_t before = CTL_GET(uint64_t, "stats.arenas.4096.small.nrequests");
	for (unsigned round = 0; round < 20; round++)
		fill_and_free(48);
	assert_int_equal(CTL_SET(uint64_t, "epoch", epoch), 0);
	uint64_t now = CTL_GET(uint64_t, "stats.arenas.4096.small.nrequests");
	assert_true(now - before >= 20 * BLOCKS && now - before < 20 * BLOCKS + 200);
}

static void flush_gives_back(void **state) {
	(void)state;
	fill_and_free(64);
	for (unsigned i = 0; i < 100 && held() > 4096; i++) /* the thread may have moved meanwhile */
		assert_int_equal(ctl_do("thread.tcache.flush"), 0);
	assert_true(held() <= 4096);
	fill_and_free(64);
	assert_true(!is_on() || held() > 0);
	(void)CTL_GET(size_t, "ashlar.trim");
	assert_true(held() <= 4096);
}

/* Its blocks come from there and are never in a CPU's cache. */
static void arena_of_the_program(void **state) {
	(void)state;
	unsigned arena = CTL_GET(unsigned, "arenas.create"), before = CTL_GET(unsigned, "thread.arena");
	fill_and_free(200);
	assert_int_equal(CTL_SET(unsigned, "thread.arena", arena), 0);
	void *block[BLOCKS];
	for (unsigned i = 0; i < BLOCKS; i++) {
		block[i] = t_malloc(200);
		unsigned is;
		size_t size = sizeof is;
		assert_int_equal(ctl("arenas.lookup", &is, &size, &block[i], sizeof block[i]), 0);
		assert_int_equal(is, arena);
	}
	assert_int_equal(CTL_SET(unsigned, "thread.arena", before), 0);
	void *room[10]; /* for blocks of the arena, were they let in */
	for (unsigned i = 0; i < 10; i++)
		room[i] = t_malloc(200);
	size_t was = held();
	for (unsigned i = 0; i < BLOCKS; i++)
		t_free(block[i]);
	assert_true(!is_on() || held() <= was + 8192);
	for (unsigned i = 0; i < BLOCKS; i++) {
		block[i] = t_malloc(200);
		unsigned is;
		size_t size = sizeof is;
		assert_int_equal(ctl("arenas.lookup", &is, &size, &block[i], sizeof block[i]), 0);
		assert_int_not_equal(is, arena);
	}
	for (unsigned i = 0; i < BLOCKS; i++)
		t_free(block[i]);
	for (unsigned i = 0; i < 10; i++)
		t_free(room[i]);
	char name[64];
	snprintf(name, sizeof name, "arena.%u.destroy", arena);
	assert_int_equal(ctl_do(name), 0);
}

/* Switched off for a thread, it works without; an explicit cache is as ever. */
static void other_ways(void **state) {
	(void)state;
	unsigned id = CTL_GET(unsigned, "tcache.create");
	assert_int_equal(CTL_SET(bool, "thread.tcache.enabled", false), 0);
	size_t was = held();
	fill_and_free(120);
	assert_true(held() <= was + 8192);
	assert_int_equal(CTL_SET(bool, "thread.tcache.enabled", true), 0);
	for (unsigned i = 0; i < BLOCKS; i++) {
		t_dallocx(t_mallocx(500, FLAG_TCACHE(id)), FLAG_TCACHE(id));
		t_dallocx(t_mallocx(500, FLAG_TCACHE_NONE), FLAG_TCACHE_NONE);
	}
	assert_int_equal(CTL_SET(unsigned, "tcache.destroy", id), 0);
}

static void *use(void *argument) {
	(void)argument;
	for (unsigned round = 0; round < 5; round++)
		for (unsigned i = 0; i < 10; i++)
			fill_and_free(700 + 300 * i);
	return NULL;
}

/* All CPUs together hold no more than their budget, however many threads there are. */
static void bounded_by_cpus(void **state) {
	(void)state;
	pthread_t thread[THREADS];
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, use, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_true(held() <= CTL_GET(size_t, "stats.ashlar.machine.cpus") * (2 << 20));
}

/* Without use it goes back by itself. */
static void idle_caches_empty(void **state) {
	(void)state;
	fill_and_free(1000);
	for (unsigned i = 0; i < 100 && held() > 4096; i++) {
		usleep(100000);
		t_free(t_malloc(1 << 20)); /* looks at the clock where there is no helper */
	}
	assert_true(held() <= 4096);
}

static void child_goes_on(void **state) {
	(void)state;
	fill_and_free(80);
	bool on = is_on();
	pid_t pid = fork();
	if (pid == 0) {
		fill_and_free(80);
		(void)CTL_GET(size_t, "ashlar.trim");
		_exit(is_on() == on && held() <= 4096 ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asked_for_and_there),  cmocka_unit_test(counts_are_exact),
		cmocka_unit_test(requests_are_counted), cmocka_unit_test(flush_gives_back),
		cmocka_unit_test(arena_of_the_program), cmocka_unit_test(other_ways),
		cmocka_unit_test(bounded_by_cpus),      cmocka_unit_test(idle_caches_empty),
		cmocka_unit_test(child_goes_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
