/*
 * A process ends while its helper thread gives memory back and other threads allocate, in every way there is: the end comes,
 * with the right status, and nothing is reported.
 */
// ctest-timeout: 200
// ctest: MALLOC_CONF=dirty_decay_ms:2
#define _GNU_SOURCE
#include "../harness.h"
#include "../helpers.h"

#include <pthread.h>
#include <sys/wait.h>

enum { THREADS = 3, CHILDREN = TEST_TSAN ? 20 : 120, CODE = 7, WAYS = 5 };

static pthread_barrier_t barrier;

static void *work(void *argument) {
	uint64_t random = (uintptr_t)argument + 1;
	void *blocks[200];
	pthread_barrier_wait(&barrier);
	for (;;) {
		for (size_t i = 0; i < 200; i++)
			blocks[i] = malloc(test_below(&random, 60000));
		for (size_t i = 0; i < 200; i++)
			free(blocks[i]);
	}
	return NULL;
}

static void *ends_main(void *argument) {
	usleep(1000);
	exit(CODE);
	return argument;
}

static void nothing(void) {
	free(malloc(1000));
}

/* Returns to main's end, or does not. */
static void end(size_t way) {
	pthread_t thread;
	switch (way) {
	case 0:
		_exit(CODE);
	case 1:
		quick_exit(CODE);
	case 2:
		exit(CODE);
	case 3:
		CHECK(pthread_create(&thread, NULL, ends_main, NULL) == 0);
		pthread_exit(NULL);
	default:
		break;
	}
}

static int child(size_t number) {
	uint64_t random = number + 1;
	pthread_t threads[THREADS];
	alarm(60);
	CHECK(atexit(nothing) == 0 && at_quick_exit(nothing) == 0);
	CHECK(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
	pthread_barrier_wait(&barrier);
	burst(8);
	expect_helpers(1);
	burst(1 + test_below(&random, 16));
	usleep((useconds_t)test_below(&random, 5000));
	end(number % WAYS);
	return CODE;
}

int main(void) {
	for (size_t i = 0; i < CHILDREN; i++) {
		int status;
		pid_t pid = fork();
		CHECK(pid >= 0);
		if (pid == 0)
			return child(i);
		CHECK(waitpid(pid, &status, 0) == pid);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != CODE)
			fprintf(stderr, "child %zu ended with status %x\n", i, (unsigned)status);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == CODE);
	}
	return 0;
}
