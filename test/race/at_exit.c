/*
 * The process ends while other threads still allocate and free: exit handlers and destructors use the heap,
 * and the end must come with the status asked for.
 */
// ctest-timeout: 300
#define _GNU_SOURCE
#include "../harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum { WORKERS = 4, CHILDREN = 100, HANG = 120 };

static atomic_size_t turns;
static bool reported;
static void *kept[200];

static void churn(uint64_t *random, void **blocks, size_t count) {
	size_t at = test_below(random, count);
	free(blocks[at]);
	blocks[at] = malloc(test_below(random, 5000));
	CHECK(blocks[at] != NULL);
}

static void *worker(void *argument) {
	uint64_t random = (uintptr_t)argument;
	void *blocks[100] = {NULL};
	for (;;) {
		churn(&random, blocks, 100);
		atomic_fetch_add(&turns, 1);
	}
	return NULL;
}

static void at_end(void) {
	uint64_t random = 5;
	for (size_t i = 0; i < 2000; i++)
		churn(&random, kept, 200);
}

__attribute__((destructor)) static void very_last(void) {
	if (!reported)
		return;
	at_end();
	for (size_t i = 0; i < 200; i++)
		free(kept[i]);
	_exit(9);
}

int main(void) {
	size_t children = test_scaled(CHILDREN);
	for (size_t i = 0; i < children; i++) {
		pid_t child = fork();
		CHECK(child >= 0);
		if (child == 0) {
			alarm(HANG);
			CHECK(atexit(at_end) == 0);
			for (size_t k = 0; k < WORKERS; k++) {
				pthread_t thread;
				CHECK(pthread_create(&thread, NULL, worker, (void *)(uintptr_t)(k + i)) == 0);
			}
			while (atomic_load(&turns) < 200)
				continue;
			reported = true;
			exit(3);
		}
		int status = 0;
		CHECK(waitpid(child, &status, 0) == child);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 9);
	}
	return 0;
}
