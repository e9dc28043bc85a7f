/* Explicit caches: their numbers, what they hold, how they end. */
// ctest-also: MALLOC_CONF=percpu_cache:true
#include "ctl.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

enum { MOST = 4094, BLOCKS = 200 };

static int create(unsigned *id) {
	return ctl_read("tcache.create", id, sizeof *id);
}

static int destroy(unsigned id) {
	return CTL_SET(unsigned, "tcache.destroy", id);
}

static void lowest_number_first(void **state) {
	(void)state;
	unsigned id[4];
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(create(&id[i]), 0);
		assert_int_equal(id[i], i);
	}
	assert_int_equal(destroy(2), 0);
	assert_int_equal(destroy(1), 0);
	assert_int_equal(create(&id[1]), 0);
	assert_int_equal(create(&id[2]), 0);
	assert_int_equal(id[1], 1);
	assert_int_equal(id[2], 2);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(destroy(i), 0);
}

static void as_many_as_there_may_be(void **state) {
	(void)state;
	unsigned id;
	for (unsigned i = 0; i < MOST; i++) {
		assert_int_equal(create(&id), 0);
		assert_int_equal(id, i);
	}
	assert_int_equal(create(&id), EFAULT);
	assert_int_equal(destroy(1000), 0);
	assert_int_equal(create(&id), 0);
	assert_int_equal(id, 1000);
	for (unsigned i = 0; i < MOST; i++)
		assert_int_equal(destroy(i), 0);
}

static void strict_and_required(void **state) {
	(void)state;
	uint64_t wide = 4711;
	unsigned id = 0;
	size_t size = sizeof wide;
	assert_int_equal(ctl("tcache.create", &wide, &size, NULL, 0), EINVAL);
	assert_int_equal(size, 0);
	assert_int_equal(wide, 4711);
	assert_int_equal(ctl_do("tcache.create"), EINVAL);
	size = sizeof id;
	assert_int_equal(ctl("tcache.create", NULL, &size, NULL, 0), EINVAL);
	size = sizeof id;
	assert_int_equal(ctl("tcache.create", &id, &size, &id, sizeof id), EPERM);
	assert_int_equal(create(&id), 0); /* none was made meanwhile */
	assert_int_equal(id, 0);
	assert_int_equal(ctl_do("tcache.flush"), EINVAL);
	assert_int_equal(ctl_do("tcache.destroy"), EINVAL);
	assert_int_equal(CTL_SET(uint64_t, "tcache.flush", 0), EINVAL);
	assert_int_equal(destroy(0), 0);
}

/* What was freed to a cache comes from it again, last first; what is in one is not in another. */
static void holds_what_it_was_given(void **state) {
	(void)state;
	unsigned a, b;
	void *block[4];
	assert_int_equal(create(&a), 0);
	assert_int_equal(create(&b), 0);
	for (int i = 0; i < 4; i++)
		assert_non_null(block[i] = t_mallocx(100, FLAG_TCACHE(a)));
	t_dallocx(block[0], FLAG_TCACHE(a));
	t_dallocx(block[1], FLAG_TCACHE(b));
	t_dallocx(block[2], FLAG_TCACHE(a));
	assert_ptr_equal(t_mallocx(100, FLAG_TCACHE(b)), block[1]);
	assert_ptr_equal(t_mallocx(100, FLAG_TCACHE(a)), block[2]);
	assert_ptr_equal(t_mallocx(100, FLAG_TCACHE(a)), block[0]);
	for (int i = 0; i < 4; i++)
		t_dallocx(block[i], FLAG_TCACHE(b));
	assert_int_equal(CTL_SET(unsigned, "tcache.flush", b), 0);
	void *low = t_mallocx(100, FLAG_TCACHE(b)); /* flushed: it starts anew */
	assert_non_null(low);
	t_dallocx(low, FLAG_TCACHE(b));
	assert_int_equal(destroy(a), 0);
	assert_int_equal(destroy(b), 0);
}

/* The blocks of a cache outlive it, and any thread may free them anywhere. */
static void *free_all(void *argument) {
	void **block = argument;
	for (int i = 0; i < BLOCKS; i++)
		free(block[i]);
	return NULL;
}

static void blocks_outlive_it(void **state) {
	(void)state;
	static void *block[BLOCKS];
	unsigned id;
	pthread_t thread;
	assert_int_equal(create(&id), 0);
	for (int i = 0; i < BLOCKS; i++) {
		assert_non_null(block[i] = t_mallocx((size_t)i * 150 + 1, FLAG_TCACHE(id)));
		memset(block[i], i, (size_t)i * 150 + 1);
	}
	assert_int_equal(destroy(id), 0);
	for (int i = 0; i < BLOCKS; i++)
		assert_int_equal(*(unsigned char *)block[i], i);
	assert_int_equal(pthread_create(&thread, NULL, free_all, block), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Making and ending one again and again takes no new memory. */
static void nothing_is_lost(void **state) {
	(void)state;
	unsigned id;
	size_t settled = 0;
	for (int round = 0; round < 2000; round++) {
		assert_int_equal(create(&id), 0);
		for (size_t size = 8; size < 40000; size *= 2)
			t_dallocx(t_mallocx(size, FLAG_TCACHE(id)), FLAG_TCACHE(id));
		assert_int_equal(destroy(id), 0);
		if (round == 200)
			settled = CTL_GET(size_t, "stats.metadata");
	}
	assert_true(CTL_GET(size_t, "stats.metadata") <= settled + 65536);
}

static void survives_fork(void **state) {
	(void)state;
	unsigned id;
	assert_int_equal(create(&id), 0);
	void *block = t_mallocx(100, FLAG_TCACHE(id));
	t_dallocx(block, FLAG_TCACHE(id));
	pid_t child = fork();
	if (child == 0) {
		bool same = t_mallocx(100, FLAG_TCACHE(id)) == block;
		unsigned other;
		_exit(same && create(&other) == 0 && other == id + 1 && destroy(id) == 0 ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(destroy(id), 0);
}

/* -- numbers of no cache: one message, and an end ------------------------------------------------------------ */

static void by_mallocx(unsigned id) {
	(void)t_mallocx(100, FLAG_TCACHE(id));
}
static void by_dallocx(unsigned id) {
	t_dallocx(malloc(100), FLAG_TCACHE(id));
}
static void by_flush(unsigned id) {
	(void)CTL_SET(unsigned, "tcache.flush", id);
}
static void by_destroy(unsigned id) {
	(void)destroy(id);
}

static void expect_end(void (*call)(unsigned), unsigned id) {
	int ends[2];
	char text[200] = "", expected[100];
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		(void)signal(SIGABRT, SIG_DFL);
		(void)dup2(ends[1], 2);
		call(id);
		_exit(0);
	}
	(void)close(ends[1]);
	ssize_t length = read(ends[0], text, sizeof text - 1);
	(void)close(ends[0]);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	(void)snprintf(expected, sizeof expected, "<ashlar>: invalid tcache id (%u).\n", id);
	assert_true(length > 0);
	assert_string_equal(text, expected);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void numbers_of_no_cache(void **state) {
	(void)state;
	unsigned id;
	expect_end(by_mallocx, 0); /* there never was one with such a number */
	expect_end(by_flush, 4000);
	assert_int_equal(create(&id), 0);
	expect_end(by_dallocx, id + 1);
	expect_end(by_destroy, UINT32_MAX);
	assert_int_equal(destroy(id), 0);
	expect_end(by_mallocx, id);
	expect_end(by_dallocx, 4093);
	expect_end(by_flush, id);
	expect_end(by_destroy, id);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lowest_number_first),     cmocka_unit_test(strict_and_required),
		cmocka_unit_test(holds_what_it_was_given), cmocka_unit_test(blocks_outlive_it),
		cmocka_unit_test(nothing_is_lost),         cmocka_unit_test(survives_fork),
		cmocka_unit_test(numbers_of_no_cache),     cmocka_unit_test(as_many_as_there_may_be),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
