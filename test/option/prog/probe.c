/*
 * probe WHAT: a small program to see the effect of an option with.  It prints figures; options.py judges.
 */
#define _GNU_SOURCE
#include "../../harness.h"

#include <pthread.h>
#include <sys/resource.h>

enum { BLOCKS = 64, BLOCK = 1 << 20, SMALL = 100000 };

static void *blocks[SMALL];

/* Resident KiB: before, with 64 MiB touched, and after it was freed. */
static void burst(size_t count, size_t size) {
	size_t before = test_status_kib("VmRSS");
	for (size_t i = 0; i < count; i++) {
		blocks[i] = malloc(size);
		CHECK(blocks[i] != NULL);
		memset(blocks[i], 1, size);
	}
	size_t during = test_status_kib("VmRSS");
	for (size_t i = 0; i < count; i++)
		free(blocks[i]);
	printf("%zu %zu %zu\n", before, during, test_status_kib("VmRSS"));
}

static void *small_life(void *argument) {
	for (size_t round = 0; round < 50; round++) {
		void *own[100];
		for (size_t i = 0; i < 100; i++) {
			own[i] = calloc(1, i * 211 + 1);
			CHECK(own[i] != NULL);
		}
		for (size_t i = 0; i < 100; i++)
			free(own[i]);
	}
	return argument;
}

static void threads(void) {
	pthread_t ids[16];
	for (size_t i = 0; i < 16; i++)
		CHECK(pthread_create(&ids[i], NULL, small_life, NULL) == 0);
	for (size_t i = 0; i < 16; i++)
		CHECK(pthread_join(ids[i], NULL) == 0);
	printf("done\n");
}

static void realloc_zero(void) {
	void *ptr = malloc(100);
	CHECK(ptr != NULL);
	errno = 4711;
	ptr = realloc(ptr, 0);
	printf("%s %zu %d\n", ptr == NULL ? "null" : "block", malloc_usable_size(ptr), errno);
	free(ptr);
}

/* The size of the burst fits no cache, so a call can only succeed from the system. */
static void out_of_memory(const char *call) {
	size_t size = (size_t)PTRDIFF_MAX - 100000;
	void *ptr = malloc(100), *got = NULL;
	int error = 0;
	errno = 0;
	if (strcmp(call, "malloc") == 0)
		got = malloc(size);
	else if (strcmp(call, "calloc") == 0)
		got = calloc(1, size);
	else if (strcmp(call, "realloc") == 0)
		got = realloc(ptr, size);
	else if (strcmp(call, "realloc-null") == 0)
		got = realloc(NULL, size);
	else if (strcmp(call, "aligned_alloc") == 0)
		got = aligned_alloc(64, size);
	else if (strcmp(call, "posix_memalign") == 0)
		error = posix_memalign(&got, 64, size);
	else if (strcmp(call, "invalid-alignment") == 0)
		got = aligned_alloc(48, 100);
	printf("%s %d\n", got == NULL ? "null" : "block", error != 0 ? error : errno);
	free(ptr);
}

/* Blocks that are zeroed after their pages were given back. */
static void calloc_again(void) {
	for (size_t size = 4096; size <= (size_t)32 << 20; size *= 2) {
		for (int round = 0; round < 3; round++) {
			char *block = calloc(1, size);
			CHECK(block != NULL);
			for (size_t i = 0; i < size; i += 512)
				CHECK(block[i] == 0);
			memset(block, 1, size);
			free(block);
			(void)malloc_trim(0);
		}
	}
}

int main(int count, char **arguments) {
	const char *what = count > 1 ? arguments[1] : "";
	if (strcmp(what, "burst") == 0)
		burst(BLOCKS, BLOCK);
	else if (strcmp(what, "small-burst") == 0)
		burst(SMALL, 600);
	else if (strcmp(what, "threads") == 0)
		threads();
	else if (strcmp(what, "realloc-zero") == 0)
		realloc_zero();
	else if (strcmp(what, "oom") == 0 && count > 2)
		out_of_memory(arguments[2]);
	else if (strcmp(what, "calloc-again") == 0)
		calloc_again();
	else if (strcmp(what, "nothing") == 0)
		free(malloc(100));
	else
		return 2;
	return 0;
}
