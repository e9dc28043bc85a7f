/* idle.h - a second thread that has allocated once and then rests until it is told to end.  After harness.h. */
#ifndef TEST_IDLE_H
#define TEST_IDLE_H

#include <pthread.h>

static pthread_barrier_t idle_barrier;

static void *stay(void *argument) {
	free(malloc(100));
	pthread_barrier_wait(&idle_barrier);
	pthread_barrier_wait(&idle_barrier);
	return argument;
}

/* Returns when the thread rests. One at a time. */
TEST_OPAQUE pthread_t start_idle(void) {
	pthread_t thread;
	CHECK(pthread_barrier_init(&idle_barrier, NULL, 2) == 0);
	CHECK(pthread_create(&thread, NULL, stay, NULL) == 0);
	pthread_barrier_wait(&idle_barrier);
	return thread;
}

TEST_OPAQUE void end_idle(pthread_t thread) {
	pthread_barrier_wait(&idle_barrier);
	CHECK(pthread_join(thread, NULL) == 0);
}

#endif
