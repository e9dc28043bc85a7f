/* The floor that talks to the operating system, against the real one. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "harness.h"
#include "util/util.h"
#include "os/os.h"

#define PAGES 16u

/* Every call must leave errno alone. */
#define QUIET(call) (errno = 4711, (call), assert_int_equal(errno, 4711))

static size_t range_size(void) {
	return PAGES * os.page_size;
}

static char *map_range(void) {
	void *got = NULL;
	int error;
	QUIET(error = os_map(NULL, range_size(), &got));
	assert_int_equal(error, 0);
	assert_true(test_aligned(got, os.page_size));
	return got;
}

static void unmap_range(char *range) {
	int error;
	QUIET(error = os_unmap(range, range_size()));
	assert_int_equal(error, 0);
}

static bool holds_only(const char *range, size_t size, char byte) {
	for (size_t i = 0; i < size; i++)
		if (range[i] != byte)
			return false;
	return true;
}

static int start_os(void **state) {
	(void)state;
	os_start();
	return 0;
}

static void test_facts(void **state) {
	(void)state;
	cpu_set_t set;
	QUIET(os_start());
	assert_int_equal(os.page_size, sysconf(_SC_PAGESIZE));
	assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
	assert_in_range(os.cpus, 1, (unsigned)CPU_COUNT(&set));
	assert_true(os.max_maps > 0);
	assert_in_range(os.thp, OS_THP_UNKNOWN, OS_THP_ALWAYS);
}

static void test_one_cpu(void **state) {
	(void)state;
	cpu_set_t before, one;
	assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
	CPU_ZERO(&one);
	CPU_SET((unsigned)sched_getcpu(), &one);
	if (sched_setaffinity(0, sizeof one, &one) != 0)
		skip();
	os_start();
	unsigned cpus = os.cpus;
	assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
	os_start();
	assert_int_equal(cpus, 1);
}

static void test_map(void **state) {
	(void)state;
	char *range = map_range();
	assert_true(holds_only(range, range_size(), 0));
	memset(range, 1, range_size());
	unmap_range(range);
	void *got = NULL;
	int error;
	QUIET(error = os_map(NULL, round_down(SIZE_MAX / 2, os.page_size), &got));
	assert_int_equal(error, ENOMEM);
	assert_null(got);
}

static void test_map_at(void **state) {
	(void)state;
	int error;
	char *range = map_range();
	memset(range, 1, range_size());
	QUIET(error = os_map_at(range, os.page_size));
	assert_int_equal(error, EEXIST);
	assert_true(holds_only(range, range_size(), 1));
	/* Partly taken is taken. */
	assert_int_equal(os_unmap(range, os.page_size), 0);
	assert_int_equal(os_map_at(range, 2 * os.page_size), EEXIST);
	assert_true(holds_only(range + os.page_size, range_size() - os.page_size, 1));
	QUIET(error = os_map_at(range, os.page_size));
	assert_int_equal(error, 0);
	assert_true(holds_only(range, os.page_size, 0));
	unmap_range(range);
}

static void test_hint(void **state) {
	(void)state;
	char *range = map_range();
	void *got = NULL;
	assert_int_equal(os_unmap(range + 4 * os.page_size, 4 * os.page_size), 0);
	assert_int_equal(os_map(range + 4 * os.page_size, 4 * os.page_size, &got), 0);
	assert_ptr_equal(got, range + 4 * os.page_size);
	memset(range, 1, range_size());
	/* A hint that is taken is no obstacle. */
	assert_int_equal(os_map(range, os.page_size, &got), 0);
	assert_false((char *)got >= range && (char *)got < range + range_size());
	assert_true(holds_only(range, range_size(), 1));
	assert_int_equal(os_unmap(got, os.page_size), 0);
	unmap_range(range);
}

/* With a larger page than the kernel's, mappings are still aligned to it and of the right size. Nothing may
 * use the floor in between, so there are no assertions there. */
static void test_larger_page(void **state) {
	(void)state;
	size_t kernel_page = os.page_size, page = 64 * KIB;
	void *got[8];
	int errors = 0;
	os.page_size = page;
	for (size_t i = 0; i < COUNT_OF(got); i++)
		errors += os_map(NULL, 3 * page, &got[i]);
	os.page_size = kernel_page;
	assert_int_equal(errors, 0);
	for (size_t i = 0; i < COUNT_OF(got); i++) {
		assert_true(test_aligned(got[i], page));
		assert_true(holds_only(got[i], 3 * page, 0));
		memset(got[i], (int)i + 1, 3 * page);
	}
	for (size_t i = 0; i < COUNT_OF(got); i++) {
		assert_true(holds_only(got[i], 3 * page, (char)(i + 1)));
		assert_int_equal(os_unmap(got[i], 3 * page), 0);
	}
}

static void test_purge(void **state) {
	(void)state;
	int error;
	char *range = map_range();
	memset(range, 1, range_size());
	QUIET(error = os_purge(range + os.page_size, 2 * os.page_size));
	assert_int_equal(error, 0);
	assert_true(holds_only(range, os.page_size, 1));
	assert_true(holds_only(range + os.page_size, 2 * os.page_size, 0));
	assert_true(holds_only(range + 3 * os.page_size, range_size() - 3 * os.page_size, 1));
	memset(range, 2, range_size());
	QUIET(error = os_purge_lazy(range, range_size()));
	assert_true(error == 0 || error == EINVAL);
	for (size_t i = 0; i < PAGES; i++) {
		char first = range[i * os.page_size];
		assert_true(first == 0 || first == 2);
	}
	unmap_range(range);
}

static void test_count_resident(void **state) {
	(void)state;
	char *range = map_range();
	size_t bytes;
	QUIET(bytes = os_count_resident(range, range_size()));
	assert_int_equal(bytes, 0);
	memset(range + os.page_size, 1, 2 * os.page_size);
	QUIET(bytes = os_count_resident(range, range_size()));
	assert_int_equal(bytes, 2 * os.page_size);
	assert_int_equal(os_count_resident(range + 2 * os.page_size, os.page_size), os.page_size);
	unmap_range(range);
	QUIET(bytes = os_count_resident(range, range_size())); /* refused */
	assert_int_equal(bytes, 0);
}

static void test_refresh(void **state) {
	(void)state;
	int error;
	char *range = map_range();
	memset(range, 1, range_size());
	QUIET(error = os_refresh(range + os.page_size, os.page_size));
	assert_int_equal(error, 0);
	assert_true(holds_only(range, os.page_size, 1));
	assert_true(holds_only(range + os.page_size, os.page_size, 0));
	bool overcommits = os.overcommits;
	os.overcommits = false;
	error = os_refresh(range, range_size());
	os.overcommits = overcommits;
	assert_int_equal(error, 0);
	assert_true(holds_only(range, range_size(), 0));
	unmap_range(range);
}

static void test_huge_pages(void **state) {
	(void)state;
	int error;
	char *range = map_range();
	memset(range, 1, range_size());
	QUIET(error = os_huge_pages(range + os.page_size, os.page_size, true));
	assert_true(error == 0 || error == EINVAL); /* a kernel without them refuses */
	QUIET(error = os_huge_pages(range + os.page_size, os.page_size, false));
	assert_true(error == 0 || error == EINVAL);
	assert_true(holds_only(range, range_size(), 1));
	unmap_range(range);
}

/* After a move: all of it, or nothing at all. */
static void check_moved(const char *to, const char *from, int error) {
	assert_true(holds_only(to, range_size(), error == 0 ? 1 : 2));
	assert_true(holds_only(from, range_size(), error == 0 ? 0 : 1));
}

static int move(char *to, char *from) {
	int error;
	memset(from, 1, range_size());
	memset(to, 2, range_size());
	QUIET(error = os_move(to, from, range_size()));
	check_moved(to, from, error);
	memset(to, 3, range_size());
	memset(from, 4, range_size());
	assert_true(holds_only(to, range_size(), 3));
	return error;
}

static void test_move(void **state) {
	(void)state;
	char *from = map_range(), *to = map_range();
	int error = move(to, from);
	print_message("os_move: %s\n", error == 0 ? "moves" : strerror(error));
	assert_true(error == 0 || error == EFAULT || error == ENOTSUP);
	if (error == 0)
		assert_int_equal(move(from, to), 0);
	bool overcommits = os.overcommits;
	os.overcommits = false;
	assert_int_equal(move(to, from), ENOTSUP);
	os.overcommits = overcommits;
	unmap_range(from);
	unmap_range(to);
}

/* A range that the kernel holds as several mappings, by marks and by a hole in it. */
static void test_move_pieces(void **state) {
	(void)state;
	char *from = map_range(), *to = map_range();
	memset(from, 1, range_size());
	assert_int_equal(mprotect(from + os.page_size, os.page_size, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
	(void)move(to, from);
	memset(to, 2, range_size());
	assert_int_equal(os_unmap(from + 3 * os.page_size, os.page_size), 0);
	assert_int_not_equal(os_move(to, from, range_size()), 0);
	assert_true(holds_only(to, range_size(), 2));
	unmap_range(from);
	unmap_range(to);
}

/* The look before the move must not leave a page behind the range, nor take one that is there. */
static void test_move_neighbour(void **state) {
	(void)state;
	char *both = map_range(), *to = map_range();
	size_t half = range_size() / 2;
	memset(both, 1, range_size());
	(void)os_move(to, both, half);
	assert_true(holds_only(both + half, half, 1));
	assert_int_equal(os_unmap(both + half, half), 0);
	memset(both, 1, half);
	(void)os_move(to, both, half);
	assert_int_equal(os_map_at(both + half, half), 0);
	unmap_range(both);
	unmap_range(to);
}

static void test_resident(void **state) {
	(void)state;
	size_t before, after, size = 32 * MIB;
	void *got = NULL;
	QUIET(before = os_resident());
	if (before == 0)
		skip();
	assert_int_equal(os_map(NULL, size, &got), 0);
	memset(got, 1, size);
	QUIET(after = os_resident());
	assert_int_equal(os_unmap(got, size), 0);
	assert_true(after >= before + size / 2);
}

static void test_time(void **state) {
	(void)state;
	uint64_t before, coarse, now;
	QUIET(before = os_now());
	QUIET(coarse = os_now_coarse());
	QUIET(now = os_now());
	assert_true(before > 0 && coarse > 0 && now >= before && coarse <= now);
	for (int i = 0; i < 1000; i++) {
		uint64_t next = os_now();
		assert_true(next >= now);
		now = next;
	}
}

static _Atomic(uint32_t) word, heard;
static uint32_t thread_id;
static char thread_name[16];
static bool signals_blocked;

static void test_wait(void **state) {
	(void)state;
	store_relaxed(&word, 1);
	QUIET(os_wait(&word, 0, 0)); /* another value: returns at once */
	uint64_t start = os_now();
	for (int i = 0; i < 100 && os_now() - start < 20000000; i++)
		QUIET(os_wait(&word, 1, 20000000)); /* may wake early, but must end */
	assert_true(os_now() - start >= 20000000);
	QUIET(os_wake(&word, 1));
	QUIET(os_yield());
}

static void answer(void *argument) {
	sigset_t mask;
	(void)pthread_sigmask(SIG_BLOCK, NULL, &mask);
	signals_blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGPROF) == 1;
	(void)prctl(PR_GET_NAME, thread_name, 0, 0, 0);
	thread_id = os_thread_id();
	while (load_acquire(&word) == 0)
		os_wait(&word, 0, 0);
	store_release(&heard, *(const uint32_t *)argument);
	os_wake(&heard, 1);
}

static void test_thread(void **state) {
	(void)state;
	static const uint32_t greeting = 17;
	sigset_t before, after;
	int error;
	union {
		const uint32_t *in;
		void *out;
	} argument = {&greeting};
	store_relaxed(&word, 0);
	store_relaxed(&heard, 0);
	(void)pthread_sigmask(SIG_BLOCK, NULL, &before);
	QUIET(error = os_thread_start(answer, argument.out, "ashlar-test"));
	assert_int_equal(error, 0);
	(void)pthread_sigmask(SIG_BLOCK, NULL, &after);
	assert_int_equal(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
	store_release(&word, 1);
	os_wake(&word, 1);
	while (load_acquire(&heard) == 0)
		os_wait(&heard, 0, 0);
	assert_int_equal(load_relaxed(&heard), 17);
	assert_string_equal(thread_name, "ashlar-test");
	assert_true(signals_blocked);
	uint32_t own;
	QUIET(own = os_thread_id());
	assert_true(own != 0 && thread_id != 0 && thread_id != own);
}

/* Where the system lists its memory nodes, the number is that of one. */
static void test_node(void **state) {
	(void)state;
	char place[64];
	unsigned node;
	QUIET(node = os_node());
	(void)snprintf(place, sizeof place, "/sys/devices/system/node/node%u", node);
	assert_true(access("/sys/devices/system/node", F_OK) != 0 || access(place, F_OK) == 0);
}

static void test_write(void **state) {
	(void)state;
	int ends[2];
	char got[8] = "";
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	QUIET(os_write(ends[1], "hello", 5));
	assert_int_equal(read(ends[0], got, sizeof got), 5);
	assert_string_equal(got, "hello");
	/* A full pipe, and no file at all: gives up quietly. */
	static const char much[256 * 1024] = "much";
	QUIET(os_write(ends[1], much, sizeof much));
	QUIET(os_write(-1, "x", 1));
	close(ends[0]);
	close(ends[1]);
}

/* More than a pipe holds, to a slow reader: arrives whole. */
static void test_write_parts(void **state) {
	(void)state;
	static char much[300 * 1024];
	int ends[2], status = 0;
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		memset(much, 'x', sizeof much);
		os_write(ends[1], much, sizeof much);
		_exit(0);
	}
	close(ends[1]);
	size_t total = 0;
	char part[1000];
	for (ssize_t got; (got = read(ends[0], part, sizeof part)) > 0;)
		total += (size_t)got;
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(total, sizeof much);
}

static void test_env(void **state) {
	(void)state;
	const char *value;
	assert_int_equal(setenv("ASHLAR_TEST_VARIABLE", "value", 1), 0);
	QUIET(value = os_env("ASHLAR_TEST_VARIABLE"));
	assert_string_equal(value, "value");
	assert_int_equal(unsetenv("ASHLAR_TEST_VARIABLE"), 0);
	QUIET(value = os_env("ASHLAR_TEST_VARIABLE"));
	assert_null(value);
}

static void test_read_link(void **state) {
	(void)state;
	char folder[] = "/tmp/ashlar-os-XXXXXX", path[64], target[16];
	bool found;
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof path, "%s/link", folder);
	QUIET(found = os_read_link(path, target, sizeof target));
	assert_false(found);
	assert_string_equal(target, "");
	assert_int_equal(symlink("narenas:1", path), 0);
	QUIET(found = os_read_link(path, target, sizeof target));
	assert_true(found);
	assert_string_equal(target, "narenas:1");
	assert_true(os_read_link(path, target, sizeof "narenas:1"));
	assert_false(os_read_link(path, target, sizeof "narenas:1" - 1));
	assert_string_equal(target, "");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void test_abort(void **state) {
	(void)state;
	int status = 0;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)signal(SIGABRT, SIG_DFL);
		os_abort();
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* Closed pages end who touches them; opened, all of the range is there, the closed pages as zero. */
static void test_protect(void **state) {
	(void)state;
	void *got = NULL;
	assert_int_equal(os_map(NULL, 5 * os.page_size, &got), 0);
	char *start = got;
	memset(start, 1, 5 * os.page_size);
	errno = 4711;
	assert_int_equal(os_protect(start + os.page_size, os.page_size, false), 0);
	assert_int_equal(os_protect(start + 3 * os.page_size, os.page_size, false), 0);
	for (size_t i = 0; i < 5; i++) {
		pid_t child = fork();
		if (child == 0) {
			(void)signal(SIGSEGV, SIG_DFL); /* cmocka catches it */
			*(volatile char *)(start + i * os.page_size) = 2;
			_exit(0);
		}
		int status = 0;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(WIFSIGNALED(status), i % 2);
	}
	assert_int_equal(os_protect(start, 5 * os.page_size, true), 0);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(start[i * os.page_size], i % 2 == 0);
		start[i * os.page_size] = 3;
	}
	assert_int_equal(os_unmap(start, 5 * os.page_size), 0);
	assert_int_equal(os_protect(start, os.page_size, true), ENOMEM);
	assert_int_equal(errno, 4711);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_one_cpu),
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_map_at),
		cmocka_unit_test(test_hint),
		cmocka_unit_test(test_larger_page),
		cmocka_unit_test(test_purge),
		cmocka_unit_test(test_refresh),
		cmocka_unit_test(test_huge_pages),
		cmocka_unit_test(test_move),
		cmocka_unit_test(test_move_pieces),
		cmocka_unit_test(test_move_neighbour),
		cmocka_unit_test(test_resident),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_thread),
		cmocka_unit_test(test_node),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_write_parts),
		cmocka_unit_test(test_env),
		cmocka_unit_test(test_read_link),
		cmocka_unit_test(test_protect),
		cmocka_unit_test(test_count_resident),
		cmocka_unit_test(test_abort),
	};
	return cmocka_run_group_tests(tests, start_os, NULL);
}
