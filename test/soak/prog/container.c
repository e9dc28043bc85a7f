/*
 * container LIMIT: a program in a container of LIMIT bytes.  Round after round its threads take much memory in blocks of
 * some pages, free most of them here and there, and take as much in blocks too large for those holes.  What is live never
 * exceeds two thirds of the limit; what was freed in between comes on top, unless it is given back.
 *
 * Prints the number of arenas, and the highest resident memory in KiB.
 */
#define _GNU_SOURCE
#include "../../harness.h"

#include <pthread.h>

enum { THREADS = 8, ROUNDS = 6, SMALL = 48 << 10, LARGE = 5 << 20 };

__attribute__((weak)) int mallctl(const char *name, void *old, size_t *old_size, void *new_value,
                                  size_t new_size);

static pthread_barrier_t barrier;
static size_t share; /* bytes a thread holds at most */

static char *take(size_t size) {
	char *block = malloc(size);
	CHECK(block != NULL);
	memset(block, 1, size);
	return block;
}

/* One in four stays. */
static void *life(void *argument) {
	size_t small = share / SMALL, large = share * 3 / 4 / LARGE;
	char **blocks = malloc(small * sizeof *blocks), **others = malloc(large * sizeof *others);
	(void)argument;
	for (int round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < small; i++)
			blocks[i] = take(SMALL);
		for (size_t i = 0; i < small; i++)
			if (i % 4 != 0)
				free(blocks[i]);
		pthread_barrier_wait(&barrier);
		for (size_t i = 0; i < large; i++)
			others[i] = take(LARGE);
		pthread_barrier_wait(&barrier);
		for (size_t i = 0; i < large; i++)
			free(others[i]);
		for (size_t i = 0; i < small; i += 4)
			free(blocks[i]);
		pthread_barrier_wait(&barrier);
	}
	free(blocks);
	free(others);
	return NULL;
}

int main(int count, char **arguments) {
	CHECK(count == 2);
	share = strtoul(arguments[1], NULL, 10) / 3 * 2 / THREADS;
	pthread_t threads[THREADS];
	CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, life, NULL) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	unsigned arenas = 0;
	size_t length = sizeof arenas;
	CHECK(mallctl("arenas.narenas", &arenas, &length, NULL, 0) == 0);
	printf("%u %zu\n", arenas, test_status_kib("VmHWM"));
	return 0;
}
