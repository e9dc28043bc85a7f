/* Locks: exclusion, ranks, and taking all of them. */
// ctest-timeout: 120
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "quiet_heap.h"
#include "harness.h"
#include "os/os.h"
#include "thread/lock.h"

#define THREADS 8
#define ROUNDS  20000
#define LOCKS   40

static struct lock first = LOCK_INITIALIZER(RANK_PURGE), second = LOCK_INITIALIZER(RANK_BIN);
static struct lock *made;         /* LOCKS of them */
static size_t counter[LOCKS + 2]; /* each under its lock, not atomic */

static void in_threads(void *(*body)(void *), void *argument) NO_LOCK_ANALYSIS {
	pthread_t thread[THREADS];
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, body, argument != NULL ? argument : (void *)i) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
}

static void *count_both(void *unused) NO_LOCK_ANALYSIS {
	(void)unused;
	for (size_t i = 0; i < test_scaled(ROUNDS); i++) {
		lock_take(&first);
		counter[0]++;
		if (i % 64 == 0)
			os_yield(); /* while holding it: others go to sleep */
		if (i % 3 == 0) {
			lock_take(&second);
			counter[1]++;
			lock_drop(&second);
		}
		lock_drop(&first);
		if (lock_try(&second)) {
			counter[1]++;
			lock_drop(&second);
		} else {
			lock_take(&second);
			counter[1]++;
			lock_drop(&second);
		}
	}
	CHECK(lock_none_held());
	return NULL;
}

static void test_exclusion(void **state) {
	(void)state;
	in_threads(count_both, NULL);
	size_t rounds = test_scaled(ROUNDS);
	assert_int_equal(counter[0], THREADS * rounds);
	assert_int_equal(counter[1], THREADS * (rounds + (rounds + 2) / 3));
	assert_int_equal(first.state, 0);
	assert_int_equal(second.state, 0);
}

/* -- all of them -- */

static _Atomic(bool) stop;
static _Atomic(bool) all_held; /* set while the main thread holds all */

/* Takes one lock after the other; many of them for the first time, which registers them. */
static void *count_made(void *seed_pointer) NO_LOCK_ANALYSIS {
	uint64_t seed = (uintptr_t)seed_pointer * 77 + 1;
	while (!stop) {
		size_t i = test_below(&seed, LOCKS);
		lock_take(&made[i]);
		CHECK(!all_held);
		counter[i]++;
		CHECK(!all_held);
		lock_drop(&made[i]);
	}
	return NULL;
}

static void *run_threads(void *unused) {
	(void)unused;
	in_threads(count_made, NULL);
	return NULL;
}

static void test_take_all(void **state) NO_LOCK_ANALYSIS {
	(void)state;
	static struct lock fresh[30][LOCKS];
	pthread_t runner;
	for (size_t round = 0; round < COUNT_OF(fresh); round++) {
		stop = false;
		made = fresh[round];
		for (unsigned i = 0; i < LOCKS; i++) /* in the registry only once somebody takes them */
			made[i] = (struct lock)LOCK_INITIALIZER((uint16_t)(RANK_TRANSFER + i % 3));
		CHECK(pthread_create(&runner, NULL, run_threads, NULL) == 0);
		for (int i = 0; i < 50; i++) {
			lock_take_all();
			all_held = true;
			size_t before[LOCKS];
			memcpy(before, counter, sizeof before);
			os_yield();
			CHECK(memcmp(before, counter, sizeof before) == 0);
			all_held = false;
			lock_drop_all();
			os_yield();
		}
		stop = true;
		pthread_join(runner, NULL);
	}
	for (unsigned i = 0; i < LOCKS; i++)
		assert_int_equal(fresh[0][i].state, 0);
	assert_true(lock_none_held());
}

/* Other libraries' handlers of fork run while all locks are held, and allocate: who holds them passes through, and still
 * holds them afterwards. A lock that is new meanwhile works like any other. */
static void *try_once(void *lock) NO_LOCK_ANALYSIS {
	return lock_try(lock) ? lock : NULL;
}

static void test_forker_passes(void **state) NO_LOCK_ANALYSIS {
	(void)state;
	static struct lock known = LOCK_INITIALIZER(RANK_BIN), unknown;
	pthread_t other;
	void *got;
	lock_take(&known);
	lock_drop(&known);
	lock_take_all();
	lock_take(&known);
	lock_drop(&known);
	assert_true(lock_try(&known));
	lock_drop(&known);
	lock_init(&unknown, RANK_POOL);
	lock_take(&unknown);
	lock_drop(&unknown);
	assert_int_equal(pthread_create(&other, NULL, try_once, &known), 0);
	assert_int_equal(pthread_join(other, &got), 0);
	assert_null(got);
	lock_drop_all();
	assert_true(lock_try(&known));
	lock_drop(&known);
}

/* Two threads at once, as two forks would. */
static void *take_all_often(void *unused) NO_LOCK_ANALYSIS {
	(void)unused;
	for (size_t i = 0; i < test_scaled(500); i++) {
		lock_take_all();
		CHECK(!all_held);
		all_held = true;
		counter[0]++;
		all_held = false;
		lock_drop_all();
	}
	return NULL;
}

static void test_take_all_together(void **state) {
	(void)state;
	counter[0] = 0;
	in_threads(take_all_often, NULL);
	assert_int_equal(counter[0], THREADS * test_scaled(500));
}

static int in_child(void (*body)(void)) {
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		const struct rlimit none = {0, 0};
		(void)setrlimit(RLIMIT_CORE, &none);
		signal(SIGILL, SIG_DFL);
		signal(SIGTRAP, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		alarm(20);
		body();
		_exit(0);
	}
	int status = 0;
	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	return status;
}

static void reset_and_use(void) NO_LOCK_ANALYSIS {
	lock_reset_all();
	CHECK(lock_none_held());
	lock_take(&first);
	lock_take(&second);
	lock_drop(&second);
	lock_drop(&first);
	static struct lock late = LOCK_INITIALIZER(RANK_BASE);
	lock_take(&late); /* the registry is open again */
	lock_drop(&late);
	lock_take_all();
	lock_drop_all();
}

/* In the child all are free, whoever held them, waiters included. */
static void test_reset(void **state) NO_LOCK_ANALYSIS {
	(void)state;
	lock_take_all();
	int status = in_child(reset_and_use);
	lock_drop_all();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_true(lock_none_held());
	assert_true(lock_try(&first));
	lock_drop(&first);
}

static void test_dynamic(void **state) NO_LOCK_ANALYSIS {
	(void)state;
	static struct lock lock;
	lock_init(&lock, RANK_PAGES);
	assert_true(lock.registered);
	assert_true(lock_try(&lock));
	assert_false(lock.state == 0);
	lock_drop(&lock);
	lock_take_all();
	assert_false(lock.state == 0);
	lock_drop_all();
	assert_int_equal(lock.state, 0);
}

#if ASHLAR_DEBUG >= 1
static void wrong_order(void) NO_LOCK_ANALYSIS {
	lock_take(&second);
	lock_take(&first);
}
static void same_rank(void) NO_LOCK_ANALYSIS {
	static struct lock other = LOCK_INITIALIZER(RANK_BIN);
	lock_take(&second);
	lock_take(&other);
}
static void try_wrong_order(void) NO_LOCK_ANALYSIS {
	lock_take(&second);
	(void)lock_try(&first);
}
static void taken_twice(void) NO_LOCK_ANALYSIS {
	lock_take(&first);
	lock_take(&first);
}

static void test_ranks(void **state) NO_LOCK_ANALYSIS {
	(void)state;
	assert_true(WIFSIGNALED(in_child(wrong_order)));
	assert_true(WIFSIGNALED(in_child(same_rank)));
	assert_true(WIFSIGNALED(in_child(try_wrong_order)));
	assert_true(WIFSIGNALED(in_child(taken_twice)));
	assert_true(lock_none_held());
	lock_take(&first);
	assert_false(lock_none_held());
	lock_take(&second);
	lock_drop(&first); /* dropping in any order */
	assert_false(lock_none_held());
	lock_drop(&second);
	assert_true(lock_none_held());
}
#endif

int main(void) {
	os_start();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exclusion),
		cmocka_unit_test(test_take_all),
		cmocka_unit_test(test_take_all_together),
		cmocka_unit_test(test_forker_passes),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_dynamic),
#if ASHLAR_DEBUG >= 1
		cmocka_unit_test(test_ranks),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
