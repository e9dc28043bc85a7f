/*
 * The shortest proof that the library works on a target: the whole standard family, four threads that
 * hand blocks to each other, and a fork. No test library, so it builds with any C compiler and libc.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, SLOTS = 256, ROUNDS = 20000 };

static void *_Atomic exchange[SLOTS];

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

static void check_family(void) {
	char *p = malloc(100);
	CHECK(p && (uintptr_t)p % 16 == 0 && malloc_usable_size(p) >= 100);
	memset(p, 'a', 100);
	p = realloc(p, 100000);
	CHECK(p && p[0] == 'a' && p[99] == 'a');
	free(p);

	p = calloc(1000, 1000);
	CHECK(p);
	for (size_t i = 0; i < 1000000; i += 997)
		CHECK(p[i] == 0);
	free(p);

	void *q = NULL;
	CHECK(posix_memalign(&q, 4096, 10) == 0 && (uintptr_t)q % 4096 == 0);
	free(q);
	CHECK(posix_memalign(&q, 3, 10) == EINVAL);
	q = aligned_alloc(1 << 21, 1 << 21);
	CHECK(q && (uintptr_t)q % (1 << 21) == 0);
	free(q);

	volatile size_t huge = SIZE_MAX / 2;
	errno = 0;
	CHECK(malloc(huge) == NULL && errno == ENOMEM);
	CHECK(calloc(huge, 4) == NULL);
	free(NULL);
}

static void *work(void *seed) {
	uint32_t x = (uint32_t)(uintptr_t)seed * 2654435761u + 1;
	for (int i = 0; i < ROUNDS; i++) {
		x = x * 1664525u + 1013904223u;
		size_t size = (x >> 8) % (i % 100 == 0 ? 200000 : 2000) + sizeof size;
		void *block = malloc(size);
		CHECK(block);
		memcpy(block, &size, sizeof size);
		void *other = atomic_exchange(&exchange[(x >> 24) % SLOTS], block);
		if (other) {
			memcpy(&size, other, sizeof size);
			CHECK(malloc_usable_size(other) >= size);
			free(other);
		}
	}
	return NULL;
}

static void check_threads(void) {
	pthread_t threads[THREADS];
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, work, (void *)(i + 1)) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	for (int i = 0; i < SLOTS; i++)
		free(exchange[i]);
}

static void check_fork(void) {
	void *kept = malloc(5000);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		free(kept);
		check_family();
		_exit(0);
	}
	int status = 0;
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	free(kept);
}

int main(void) {
	check_family();
	check_threads();
	check_fork();
	puts("smoke: ok");
	return 0;
}
