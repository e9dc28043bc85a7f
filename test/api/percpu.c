/* percpu_arena: a thread that moves to another CPU allocates from that one's arena, and cannot choose an automatic one. */
// ctest: MALLOC_CONF=percpu_arena:percpu
#define _GNU_SOURCE
#include "ctl.h"

#include <sched.h>

static bool move_to(int cpu) {
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof set, &set) != 0)
		return false;
	free(malloc(100000)); /* a visit to the full lane */
	return true;
}

static void follows_the_cpu(void **state) {
	(void)state;
	unsigned arena[2];
	for (int round = 0; round < 3; round++) {
		for (int cpu = 0; cpu < 2; cpu++) {
			if (!move_to(cpu))
				skip();
			unsigned now = CTL_GET(unsigned, "thread.arena");
			assert_true(round == 0 || now == arena[cpu]);
			arena[cpu] = now;
		}
	}
	assert_int_not_equal(arena[0], arena[1]);
	assert_int_equal(CTL_SET(unsigned, "thread.arena", arena[0]), EPERM);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_the_cpu),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
