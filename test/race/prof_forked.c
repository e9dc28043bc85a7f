/*
 * Profiling is first switched on in a forked child: nothing is loaded there, since a thread of the parent that was loading
 * something holds the loader's lock for good. Stacks are read all the same.
 */
#define _GNU_SOURCE
#include "../harness.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/wait.h>

int SUT(mallctl)(const char *name, void *old, size_t *old_size, void *new, size_t new_size);

enum { CHILDREN = 40 };

static _Atomic(bool) stop;
static volatile unsigned depth;

static void note_sample(const void *block, size_t size, void **frames, unsigned count, size_t usable) {
	(void)block;
	(void)size;
	(void)frames;
	(void)usable;
	depth = count;
}

static void *load(void *argument) {
	(void)argument;
	while (!stop) {
		void *library = dlopen("libm.so.6", RTLD_NOW), *other = dlopen("libresolv.so.2", RTLD_NOW);
		if (other != NULL)
			(void)dlclose(other);
		if (library != NULL)
			(void)dlclose(library);
	}
	return NULL;
}

static __attribute__((noinline)) void allocate(unsigned more) {
	if (more == 0)
		free(malloc(100000));
	else
		allocate(more - 1);
	TEST_HIDE(more);
}

static void sample_in_child(void) {
	bool on = true;
	size_t rate = 0;
	void *hook = (void *)(uintptr_t)note_sample;
	alarm(20);
	CHECK(SUT(mallctl)("prof.reset", NULL, NULL, &rate, sizeof rate) == 0);
	CHECK(SUT(mallctl)("experimental.hooks.prof_sample", NULL, NULL, &hook, sizeof hook) == 0);
	CHECK(SUT(mallctl)("prof.active", NULL, NULL, &on, sizeof on) == 0);
	for (int i = 0; i < 50; i++)
		allocate(20);
	CHECK(depth >= 20);
	_exit(0);
}

int main(void) {
	pthread_t threads[2];
	if (TEST_TSAN)
		return 77; /* its runtime brings an unwinder: nothing is loaded */
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&threads[i], NULL, load, NULL) == 0);
	for (int i = 0; i < CHILDREN; i++) {
		int status;
		pid_t child = fork();
		CHECK(child >= 0);
		if (child == 0)
			sample_in_child();
		CHECK(waitpid(child, &status, 0) == child);
		CHECK(status == 0);
	}
	stop = true;
	for (int i = 0; i < 2; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	return 0;
}
