/* calls.c - one function per operation and size for bench/callgrind to count the instructions of. Each makes
 * CALLS calls; the wrapper `calls_nothing_0` makes none and gives the price of the loop itself.
 *     calls [plain]      plain: leave out operators new and delete */
#include "bench.h"
#include <dlfcn.h>

enum { CALLS = 2000, WARM = 20000, DEPTH = 16 };

typedef void *calls_new_fn(size_t);
typedef void calls_delete_fn(void *);

/* Called through volatile pointers: no jump table, no lazy binding, no guess by the compiler. */
static void *(*volatile calls_malloc)(size_t) = malloc;
static void (*volatile calls_free)(void *) = free;
static void *(*volatile calls_calloc)(size_t, size_t) = calloc;
static void *(*volatile calls_realloc)(void *, size_t) = realloc;
static calls_new_fn *volatile calls_new;
static calls_delete_fn *volatile calls_delete;
static void *calls_block[DEPTH];

#define CALLS_OP(op, size, before, call, after) \
	__attribute__((noinline)) void calls_##op##_##size(void); \
	__attribute__((noinline)) void calls_##op##_##size(void) { \
		for (int j = 0; j < DEPTH; j++) \
			call; \
	} \
	static void calls_run_##op##_##size(void) { \
		for (int i = 0; i < CALLS / DEPTH; i++) { \
			for (int j = 0; j < DEPTH; j++) \
				before; \
			calls_##op##_##size(); \
			for (int j = 0; j < DEPTH; j++) \
				after; \
		} \
	}

#define CALLS_SIZE(size) \
	CALLS_OP(malloc, size, (void)0, calls_block[j] = calls_malloc(size), calls_free(calls_block[j])) \
	CALLS_OP(free, size, calls_block[j] = calls_malloc(size), calls_free(calls_block[j]), (void)0) \
	CALLS_OP(calloc, size, (void)0, calls_block[j] = calls_calloc(1, size), calls_free(calls_block[j])) \
	CALLS_OP(realloc, size, calls_block[j] = calls_malloc(size), \
	         calls_block[j] = calls_realloc(calls_block[j], 2 * (size_t)(size)), \
	         calls_free(calls_block[j])) \
	CALLS_OP(new, size, (void)0, calls_block[j] = calls_new(size), calls_delete(calls_block[j])) \
	CALLS_OP(delete, size, calls_block[j] = calls_new(size), calls_delete(calls_block[j]), (void)0) \
	static void calls_size_##size(bool operators) { \
		calls_warm(size); \
		calls_run_malloc_##size(); \
		calls_run_free_##size(); \
		calls_run_calloc_##size(); \
		calls_run_realloc_##size(); \
		if (operators) { \
			calls_run_new_##size(); \
			calls_run_delete_##size(); \
		} \
	}

/* Fills the thread's cache for a size and its double, and leaves a few blocks alive. */
static void calls_warm(size_t size) {
	void *block[DEPTH];
	for (int i = 0; i < WARM / DEPTH; i++) {
		for (int j = 0; j < DEPTH; j++)
			block[j] = calls_malloc(j % 2 == 0 ? size : 2 * size);
		for (int j = 0; j < DEPTH; j++)
			calls_free(block[j]);
	}
	for (int j = 0; j < 4; j++)
		calls_block[j] = calls_malloc(size * (size_t)(1 + j % 2));
}

CALLS_OP(nothing, 0, (void)0, __asm__ volatile(""), (void)0)
CALLS_SIZE(16)
CALLS_SIZE(64)
CALLS_SIZE(256)
CALLS_SIZE(1024)
CALLS_SIZE(4096)
CALLS_SIZE(16384)

/* The operators of the preloaded library, else those of the C++ runtime, which call its malloc. */
static void calls_find_operators(void) {
	void *at_new = dlsym(RTLD_DEFAULT, "_Znwm");
	if (at_new == NULL && dlopen("libstdc++.so.6", RTLD_NOW | RTLD_GLOBAL) != NULL)
		at_new = dlsym(RTLD_DEFAULT, "_Znwm");
	void *at_delete = dlsym(RTLD_DEFAULT, "_ZdlPv");
	if (at_new == NULL || at_delete == NULL)
		bench_fail("no operator new: install libstdc++6, or say plain");
	calls_new_fn *new_fn;
	calls_delete_fn *delete_fn;
	memcpy(&new_fn, &at_new, sizeof new_fn);
	memcpy(&delete_fn, &at_delete, sizeof delete_fn);
	calls_new = new_fn;
	calls_delete = delete_fn;
}

int main(int argc, char **argv) {
	bool operators = argc < 2 || strcmp(argv[1], "plain") != 0;
	if (operators)
		calls_find_operators();
	calls_run_nothing_0();
	calls_size_16(operators);
	calls_size_64(operators);
	calls_size_256(operators);
	calls_size_1024(operators);
	calls_size_4096(operators);
	calls_size_16384(operators);
	return 0;
}
