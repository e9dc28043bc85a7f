/* Allocates known amounts under known functions, and leaves most of it. Exit status: the first argument. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif

enum { SMALL = 400000, MIXED = 3000, LARGE = 100 };

void *volatile sink;
static void *kept[SMALL + MIXED + LARGE];

NOINLINE void *take_small(void) {
	char *block = malloc(100);
	block[0] = 1;
	return block;
}

NOINLINE void *take_mixed(size_t size) {
	char *block = calloc(1, size);
	block[0] = 1;
	return block;
}

NOINLINE void *take_large(void) {
	char *block = realloc(NULL, 500000);
	block[0] = 1;
	return block;
}

NOINLINE void take_and_return(void) {
	for (int i = 0; i < 200000; i++) {
		sink = malloc(3000);
		free(sink);
	}
}

static void *in_thread(void *argument) {
	void **slots = argument;
	for (size_t i = 0; i < LARGE; i++)
		slots[i] = take_large();
	return NULL;
}

int main(int count, char **arguments) {
	pthread_t thread;
	take_and_return();
	for (size_t i = 0; i < SMALL; i++)
		kept[i] = take_small();
	for (size_t i = 0; i < MIXED; i++)
		kept[SMALL + i] = take_mixed(i * 10 + 10);
	if (pthread_create(&thread, NULL, in_thread, kept + SMALL + MIXED) != 0 ||
	    pthread_join(thread, NULL) != 0)
		return 99;
	if (count > 2 && strcmp(arguments[2], "free") == 0)
		for (size_t i = 0; i < SMALL + MIXED + LARGE; i++)
			free(kept[i]);
	return count > 1 ? atoi(arguments[1]) : 0;
}
