/*
 * idle_threads COUNT WORK: starts threads that each touch their stack alike, allocate and free WORK blocks, and
 * sleep.  Prints the resident KiB while all sleep; the script compares a run with work to one without.
 */
#define _GNU_SOURCE
#include "../../harness.h"

#include <pthread.h>

static pthread_barrier_t barrier;
static size_t work;

/* So that calls into the heap reach no stack page that the comparison run does not touch too. */
static __attribute__((noinline)) void touch_stack(void) {
	volatile char room[24 * 1024];
	for (size_t i = 0; i < sizeof room; i += 512)
		room[i] = 1;
}

static void *life(void *argument) {
	void *blocks[16];
	touch_stack();
	for (size_t i = 0; i < work; i++) {
		blocks[i] = malloc(16 + i * 40);
		CHECK(blocks[i] != NULL);
		memset(blocks[i], 1, 16 + i * 40);
	}
	for (size_t i = 0; i < work; i++)
		free(blocks[i]);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return argument;
}

int main(int count, char **arguments) {
	CHECK(count == 3);
	size_t threads = strtoul(arguments[1], NULL, 10);
	work = strtoul(arguments[2], NULL, 10);
	CHECK(threads <= 5000 && work <= 16);
	static pthread_t ids[5000];
	pthread_attr_t attributes;
	CHECK(pthread_attr_init(&attributes) == 0);
	CHECK(pthread_attr_setstacksize(&attributes, 256 * 1024) == 0);
	CHECK(pthread_barrier_init(&barrier, NULL, (unsigned)threads + 1) == 0);
	for (size_t i = 0; i < threads; i++)
		CHECK(pthread_create(&ids[i], &attributes, life, NULL) == 0);
	pthread_barrier_wait(&barrier);
	printf("%zu\n", test_status_kib("VmRSS"));
	pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < threads; i++)
		CHECK(pthread_join(ids[i], NULL) == 0);
	return 0;
}
