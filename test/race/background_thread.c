/*
 * The helper thread on demand: background_thread and max_background_threads start and stop it, also from many threads at a
 * time, across fork, and where no thread can be made; its figures move.
 */
// ctest-timeout: 120
#define _GNU_SOURCE
#include "../harness.h"

#include "ashlar/extent_hooks.h"
#include "../helpers.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

void *SUT(mallocx)(size_t size, int flags);
#ifndef ASHLAR_PREFIXED
extern void (*malloc_message)(void *opaque, const char *text);
#endif

enum { THREADS = 4, ROUNDS = TEST_TSAN ? 50 : 300 };

static void one_after_the_other(void) {
	bool old = true, yes = true;
	size_t size = sizeof old;
	CHECK(!flag());
	expect_helpers(0);
	CHECK(SUT(mallctl)("background_thread", &old, &size, &yes, sizeof yes) == 0 && !old);
	CHECK(flag());
	expect_helpers(1);
	CHECK(set_flag(true) == 0);
	expect_helpers(1);
	CHECK(figure("stats.background_thread.num_threads") == 1);
	for (int i = 0; i < 500 && figure("stats.background_thread.num_runs") < 2; i++)
		usleep(10000);
	CHECK(figure("stats.background_thread.num_runs") >= 2);
	CHECK(figure("stats.background_thread.run_interval") > 0);
	CHECK(set_flag(false) == 0 && !flag());
	CHECK(figure("stats.background_thread.num_threads") == 0);
	expect_helpers(0);
	CHECK(set_flag(false) == 0);
}

static int set_most(size_t most) {
	return SUT(mallctl)("max_background_threads", NULL, NULL, &most, sizeof most);
}

static void most_threads(void) {
	CHECK(figure("max_background_threads") == 4);
	CHECK(set_most(0) == EINVAL && set_most(5) == EINVAL);
	CHECK(figure("max_background_threads") == 4);
	CHECK(set_most(2) == 0 && !flag());
	expect_helpers(0);
	CHECK(set_flag(true) == 0 && set_most(1) == 0 && flag());
	expect_helpers(1);
	CHECK(figure("max_background_threads") == 1 && figure("opt.max_background_threads") == 4);
	CHECK(set_flag(false) == 0);
}

/* -- hooks that ask -------------------------------------------------------------------------------------------- */

static _Atomic(int) asked_off, asked_most; /* the answers; -1: none yet */
static extent_hooks_t *standard;

/* Stopping the helper here would be waiting for oneself, or for who waits for this purge. */
static bool ask_in_purge(extent_hooks_t *hooks, void *addr, size_t size, size_t offset, size_t length,
                         unsigned arena) {
	asked_most = set_most(3);
	asked_off = set_flag(false);
	return standard->purge_forced(hooks, addr, size, offset, length, arena);
}

static bool keep(extent_hooks_t *hooks, void *addr, size_t size, bool committed, unsigned arena) {
	(void)hooks, (void)addr, (void)size, (void)committed, (void)arena;
	return true;
}

/* Leaves dirty pages in the arena, whose purge is to happen in the helper or, with `act`, here. */
static void purge_asks(unsigned arena, const char *act) {
	asked_off = asked_most = -1;
	void *block = SUT(mallocx)(8 << 20, (int)((arena + 1) << 20));
	CHECK(block != NULL);
	memset(block, 1, 8 << 20);
	free(block);
	if (act != NULL)
		CHECK(SUT(mallctl)(act, NULL, NULL, NULL, 0) == 0);
	for (int i = 0; i < 3000 && asked_off == -1; i++)
		usleep(10000);
	CHECK(asked_off == EFAULT && asked_most == EFAULT);
	CHECK(flag() && figure("max_background_threads") == 1);
	expect_helpers(1);
}

static void in_hooks(void) {
	static extent_hooks_t hooks, *given = &hooks;
	unsigned arena;
	size_t size = sizeof standard;
	char name[64];
	CHECK(SUT(mallctl)("arena.0.extent_hooks", &standard, &size, NULL, 0) == 0);
	hooks = *standard;
	hooks.dalloc = keep;
	hooks.decommit = NULL;
	hooks.purge_lazy = NULL;
	hooks.purge_forced = ask_in_purge;
	size = sizeof arena;
	CHECK(SUT(mallctl)("arenas.create", &arena, &size, &given, sizeof given) == 0);
	CHECK(set_flag(true) == 0);
	snprintf(name, sizeof name, "arena.%u.purge", arena);
	purge_asks(arena, name);
	ssize_t ms = 100; /* nobody but the helper comes by */
	snprintf(name, sizeof name, "arena.%u.dirty_decay_ms", arena);
	CHECK(SUT(mallctl)(name, NULL, NULL, &ms, sizeof ms) == 0);
	purge_asks(arena, NULL);
	snprintf(name, sizeof name, "arena.%u.destroy", arena);
	CHECK(SUT(mallctl)(name, NULL, NULL, NULL, 0) == 0);
	CHECK(set_flag(false) == 0);
	expect_helpers(0);
}

static void in_a_child(void) {
	CHECK(set_flag(true) == 0);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		CHECK(!flag() && helpers() == 0);
		CHECK(figure("stats.background_thread.num_runs") == 0);
		if (!TEST_TSAN) {
			CHECK(set_flag(true) == 0 && flag());
			expect_helpers(1);
			CHECK(set_flag(false) == 0);
			expect_helpers(0);
		}
		_exit(0);
	}
	int status;
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(flag());
	expect_helpers(1);
}

static void *toggle(void *argument) {
	for (size_t i = 0; i < ROUNDS; i++) {
		CHECK(set_flag((i + (size_t)argument) % 2 == 0) == 0);
		free(malloc(i * 1000));
	}
	return NULL;
}

static void all_at_once(void) {
	pthread_t ids[THREADS];
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&ids[i], NULL, toggle, (void *)i) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(ids[i], NULL) == 0);
	CHECK(set_flag(false) == 0);
	expect_helpers(0);
	CHECK(set_flag(true) == 0);
	expect_helpers(1);
	CHECK(set_flag(false) == 0);
	expect_helpers(0);
}

/* Several threads and a heap that would have a helper of itself; but it was forbidden. */
static void not_of_itself(void) {
	void *blocks[64];
	for (size_t i = 0; i < 64; i++) {
		blocks[i] = malloc(1 << 20);
		CHECK(blocks[i] != NULL);
	}
	for (size_t i = 0; i < 64; i++)
		free(blocks[i]);
	CHECK(helpers() == 0);
}

#ifndef ASHLAR_PREFIXED /* sanitizers do not live in so little address space */
static char said[200];

static void keep_message(void *opaque, const char *text) {
	(void)opaque;
	snprintf(said, sizeof said, "%s", text);
}

/* Without address space for a stack there is no thread. Before the others: their stacks would be used again. */
static void refused(void) {
	struct rlimit limit = {1 << 20, 1 << 20};
	malloc_message = keep_message;
	CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
	CHECK(set_flag(true) == EFAULT && !flag());
	char wanted[100];
	snprintf(wanted, sizeof wanted, "<ashlar>: background thread creation failed (%d)\n", EAGAIN);
	CHECK(strcmp(said, wanted) == 0);
	CHECK(figure("stats.background_thread.num_threads") == 0);
	free(malloc(100));
}

static void in_a_limited_child(void) {
	pid_t child = fork();
	int status;
	CHECK(child >= 0);
	if (child == 0) {
		refused();
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

#endif

int main(void) {
#ifndef ASHLAR_PREFIXED
	in_a_limited_child();
#endif
	one_after_the_other();
	most_threads();
	in_hooks();
	in_a_child();
	all_at_once();
	not_of_itself();
	return 0;
}
