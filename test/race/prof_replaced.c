/*
 * A library is unloaded and another one loaded where it was, whose code is the same up to the size of its frame: what was
 * learned of the first one's frames is of no use any more. Too large a frame would lead beyond the stack, too small a one
 * to a wrong caller.
 */
#define _GNU_SOURCE
#include "../harness.h"

#include <dlfcn.h>

int SUT(mallctl)(const char *name, void *old, size_t *old_size, void *new, size_t new_size);

#ifdef __x86_64__

enum { ROUNDS = 20, FUNCTION_SIZE = 64 };

typedef void *allocator(void *(*allocate)(size_t size));

static uintptr_t callee,
	caller; /* the function in the library; where it was called from, by the last sample */

static void note_sample(const void *block, size_t size, void **frames, unsigned depth, size_t usable) {
	(void)block;
	(void)size;
	(void)usable;
	for (unsigned i = 0; i + 1 < depth; i++)
		if ((uintptr_t)frames[i] - callee < FUNCTION_SIZE)
			caller = (uintptr_t)frames[i + 1];
}

static __attribute__((noinline)) void call(allocator *function) {
	void *block = function(t_malloc);
	CHECK(block != NULL);
	free(block);
}

/* Returns where the function was. */
static uintptr_t load_and_call(const char *path) {
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	CHECK(library != NULL);
	allocator *function;
	*(void **)&function = dlsym(library, "replaced_allocate");
	CHECK(function != NULL);
	callee = (uintptr_t)function;
	caller = 0;
	for (int i = 0; i < 3; i++)
		call(function);
	CHECK(dlclose(library) == 0);
	return callee;
}

int main(void) {
	bool on = true;
	size_t rate = 0, same = 0;
	void *hook = (void *)(uintptr_t)note_sample;
	uintptr_t expected = 0, place = 0;
	CHECK(SUT(mallctl)("prof.reset", NULL, NULL, &rate, sizeof rate) == 0);
	CHECK(SUT(mallctl)("experimental.hooks.prof_sample", NULL, NULL, &hook, sizeof hook) == 0);
	CHECK(SUT(mallctl)("prof.active", NULL, NULL, &on, sizeof on) == 0);
	for (int i = 0; i < ROUNDS; i++) {
		uintptr_t was = place;
		place = load_and_call(i % 2 == 0 ? "./replaced_large.so" : "./replaced_small.so");
		same += place == was;
		if (expected == 0)
			expected = caller;
		CHECK(caller == expected);
		CHECK(caller - (uintptr_t)call < 4096);
	}
	printf("at the same address as the one before: %zu of %d\n", same, ROUNDS - 1);
	return same == 0 ? 77 : 0;
}

#else

int main(void) {
	return 77;
}

#endif
