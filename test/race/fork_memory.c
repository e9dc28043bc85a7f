/* A chain of forks: each child inherits the heap, frees all of it, and its own memory stays bounded. */
// ctest-timeout: 120
#define _GNU_SOURCE
#include "../harness.h"

#include <pthread.h>
#include <sys/wait.h>

enum { GENERATIONS = TEST_TSAN ? 8 : 30, BLOCKS = 2000, SIZE = 4000 };

static void *blocks[BLOCKS];

/* The thread leaves full caches behind in every generation; in the child it no longer exists. */
static void *leave_cache(void *unused) {
	void *own[100];
	for (size_t i = 0; i < 100; i++) {
		own[i] = malloc(i * 40);
		CHECK(own[i] != NULL);
	}
	for (size_t i = 0; i < 100; i++)
		free(own[i]);
	pause();
	return unused;
}

static void renew(size_t generation) {
	for (size_t i = 0; i < BLOCKS; i++) {
		CHECK(blocks[i] == NULL || test_holds(blocks[i], SIZE, SIZE, generation - 1));
		free(blocks[i]);
		blocks[i] = malloc(SIZE);
		CHECK(blocks[i] != NULL);
		test_fill(blocks[i], SIZE, generation);
	}
}

int main(void) {
	size_t limit = 0;
	for (size_t generation = 1; generation <= GENERATIONS; generation++) {
		renew(generation);
		if (generation == 3)
			limit = test_status_kib("VmSize");
		pthread_t thread;
		pthread_attr_t attributes;
		CHECK(pthread_attr_init(&attributes) == 0);
		CHECK(pthread_attr_setstacksize(&attributes, 128 * 1024) == 0);
		CHECK(pthread_create(&thread, &attributes, leave_cache, NULL) == 0);
		pid_t child = fork();
		CHECK(child >= 0);
		if (child > 0) {
			int status = 0;
			CHECK(waitpid(child, &status, 0) == child);
			_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
		}
		alarm(100);
	}
	CHECK(TEST_TSAN || test_status_kib("VmSize") < limit + 32 * 1024);
	return 0;
}
