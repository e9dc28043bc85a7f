/* Restartable sequences by the real kernel: threads that share a CPU push and pop numbers while another thread, elsewhere,
 * closes the stack, fences, and empties it. Each number that went in comes out once. */
// ctest-timeout: 100
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "harness.h"
#include "os/os.h"

enum { THREADS = 3, DRAINS = TEST_TSAN ? 20000 : 400000, DEPTH = 50 };

static struct rseq_stack *first;
static unsigned cpus, busy_cpu;
static _Atomic(bool) over;
static _Atomic(uint64_t) pushed, popped, drained; /* sums */
static _Atomic(uint64_t) disturbed;               /* drains that found something */

static struct rseq_stack *nth(unsigned cpu) {
	return (struct rseq_stack *)((char *)first + cpu * RSEQ_SPAN);
}

static bool run_on(unsigned cpu) {
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof set, &set) == 0;
}

static void *push_and_pop(void *argument) {
	uintptr_t next = (uintptr_t)argument << 40 | 4096;
	uint64_t in = 0, out = 0, random = (uintptr_t)argument + 1;
	(void)run_on(busy_cpu);
	while (!load_relaxed(&over)) {
		if (test_below(&random, 2) == 0) {
			if (rseq_push(first, cpus, (void *)next)) {
				in += next;
				next += 4096;
			}
		} else {
			out += (uintptr_t)rseq_pop(first, cpus);
		}
	}
	add_relaxed(&pushed, in);
	add_relaxed(&popped, out);
	return NULL;
}

static void drain(void) {
	struct rseq_stack *stack = nth(busy_cpu);
	uint64_t sum = 0;
	store_relaxed(&stack->end, 0);
	assert_true(os_rseq_fence(busy_cpu));
	unsigned count = load_relaxed(&stack->count);
	assert_true(count <= DEPTH);
	for (unsigned i = 0; i < count; i++)
		sum += (uintptr_t)stack->slots[i];
	for (volatile unsigned i = 0; i < 200; i++)
		assert_int_equal(load_relaxed(&stack->count), count); /* nobody is inside */
	store_relaxed(&stack->count, 0);
	store_release(&stack->end, DEPTH);
	add_relaxed(&drained, sum);
	add_relaxed(&disturbed, count > 0);
}

static void each_number_once(void **state) {
	(void)state;
	pthread_t thread[THREADS];
	cpu_set_t all;
	void *memory;
	assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
	cpus = os_cpus_possible();
	for (unsigned i = 0; i < cpus && i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all))
			busy_cpu = i; /* the last; this thread goes to another where there is one */
	assert_int_equal(os_map(NULL, cpus * RSEQ_SPAN, &memory), 0);
	first = memory;
	store_release(&nth(busy_cpu)->end, DEPTH);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, push_and_pop, (void *)i), 0);
	CPU_CLR(busy_cpu, &all);
	(void)sched_setaffinity(0, sizeof all, &all);
	for (unsigned i = 0; i < DRAINS; i++)
		drain();
	store_relaxed(&over, true);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	drain();
	assert_true(disturbed > 0 && popped > 0);
	assert_int_equal(pushed, popped + drained);
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(each_number_once)};
	os_start();
	if (!os_rseq_start()) {
		print_message("no restartable sequences here\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
