/* percpu_arena: the arena of a thread is that of the CPU it first allocates on. */
// ctest: MALLOC_CONF=percpu_arena:percpu,narenas:1
// ctest-timeout: 60
#define _GNU_SOURCE
#include <jemalloc/jemalloc.h>

#include "api.h"

#include <pthread.h>
#include <sched.h>

static unsigned get(const char *name) {
	unsigned value;
	size_t size = sizeof value;
	assert_int_equal(SUT(mallctl)(name, &value, &size, NULL, 0), 0);
	return value;
}

static void *first_block(void *argument) {
	unsigned *index = argument;
	size_t size = sizeof *index;
	free(malloc(100));
	CHECK(SUT(mallctl)("thread.arena", index, &size, NULL, 0) == 0);
	return NULL;
}

static void every_cpu(void **state) {
	(void)state;
	cpu_set_t allowed, one;
	CHECK(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
	unsigned limit = get("opt.narenas");
	assert_true(limit >= 1 && limit <= (unsigned)CPU_COUNT(&allowed));
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		pthread_attr_t attributes;
		pthread_t thread;
		unsigned index;
		if (!CPU_ISSET(cpu, &allowed))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		pthread_attr_init(&attributes);
		CHECK(pthread_attr_setaffinity_np(&attributes, sizeof one, &one) == 0);
		CHECK(pthread_create(&thread, &attributes, first_block, &index) == 0);
		pthread_join(thread, NULL);
		assert_int_equal(index, cpu % limit);
	}
}

/* A thread stays where its program put it: only manual arenas may be chosen. */
static void choosing(void **state) {
	(void)state;
	unsigned own = get("thread.arena"),
		 other = get("opt.narenas") > 1 ? (own + 1) % get("opt.narenas") : own,
		 made = get("arenas.create");
	int error = SUT(mallctl)("thread.arena", NULL, NULL, &other, sizeof other);
	assert_int_equal(error, other == own ? 0 : EPERM);
	assert_int_equal(SUT(mallctl)("thread.arena", NULL, NULL, &made, sizeof made), 0);
	assert_int_equal(get("thread.arena"), made);
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_cpu), cmocka_unit_test(choosing)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
