/*
 * Threads allocate without pause while others fork.  Every child frees blocks of the parent, allocates, starts
 * threads of its own, forks once more, and exits.  A lock left taken in a child shows as a hang, which its
 * alarm ends.
 */
// ctest-timeout: 300
// ctest-also: MALLOC_CONF=percpu_cache:true
#define _GNU_SOURCE
#include "../harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum { WORKERS = 4, FORKERS = 2, FORKS = 150, BLOCKS = 400, HANG = 120 };

static atomic_bool stop;
static uint64_t seed;

struct set {
	void *blocks[BLOCKS];
	size_t sizes[BLOCKS];
};

static size_t draw_size(uint64_t *random) {
	return test_below(random, test_below(random, 20) == 0 ? 300000 : 3000);
}

static void refill(struct set *set, uint64_t *random, size_t rounds) {
	for (size_t i = 0; i < rounds; i++) {
		size_t at = test_below(random, BLOCKS), size = draw_size(random);
		if (set->blocks[at] != NULL) {
			CHECK(test_holds(set->blocks[at], set->sizes[at], set->sizes[at], at));
			free(set->blocks[at]);
		}
		set->blocks[at] = i % 2 == 0 ? malloc(size) : calloc(size + 1, 1);
		CHECK(set->blocks[at] != NULL);
		set->sizes[at] = size;
		test_fill(set->blocks[at], size, at);
	}
}

static void release(struct set *set) {
	for (size_t i = 0; i < BLOCKS; i++) {
		CHECK(set->blocks[i] == NULL || test_holds(set->blocks[i], set->sizes[i], set->sizes[i], i));
		free(set->blocks[i]);
		set->blocks[i] = NULL;
	}
}

static void *worker(void *argument) {
	static struct set sets[WORKERS];
	size_t self = (size_t)(uintptr_t)argument;
	uint64_t random = seed + self;
	while (!atomic_load(&stop))
		refill(&sets[self], &random, 50);
	release(&sets[self]);
	return NULL;
}

static void *child_thread(void *argument) {
	static struct set sets[WORKERS];
	size_t self = (size_t)(uintptr_t)argument;
	uint64_t random = seed + self * 77;
	refill(&sets[self], &random, 500);
	release(&sets[self]);
	return NULL;
}

static void run_threads(size_t count) {
	/* ThreadSanitizer takes the threads of the parent for living ones in the child and gives up. */
	if (TEST_TSAN)
		return;
	pthread_t threads[WORKERS];
	for (size_t i = 0; i < count; i++)
		CHECK(pthread_create(&threads[i], NULL, child_thread, (void *)(uintptr_t)i) == 0);
	for (size_t i = 0; i < count; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

static void wait_for(pid_t child) {
	int status = 0;
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static __attribute__((noreturn)) void child_life(struct set *inherited, uint64_t random, int generation) {
	alarm(HANG);
	refill(inherited, &random, 300);
	run_threads(2);
	if (generation == 0 && random % 4 == 0) {
		pid_t child = fork();
		CHECK(child >= 0);
		if (child == 0)
			child_life(inherited, random + 1, 1);
		wait_for(child);
	}
	release(inherited);
	run_threads(2);
	_exit(0);
}

static void *forker(void *argument) {
	static struct set sets[FORKERS];
	size_t self = (size_t)(uintptr_t)argument;
	struct set *set = &sets[self];
	uint64_t random = seed ^ (self << 30);
	size_t forks = test_scaled(FORKS) / FORKERS + 1;
	for (size_t i = 0; i < forks; i++) {
		refill(set, &random, 200);
		uint64_t drawn = test_random(&random);
		pid_t child = fork();
		CHECK(child >= 0);
		if (child == 0)
			child_life(set, drawn, 0);
		refill(set, &random, 100);
		wait_for(child);
	}
	release(set);
	return NULL;
}

int main(void) {
	seed = test_seed();
	pthread_t workers[WORKERS], forkers[FORKERS];
	for (size_t i = 0; i < WORKERS; i++)
		CHECK(pthread_create(&workers[i], NULL, worker, (void *)(uintptr_t)i) == 0);
	for (size_t i = 0; i < FORKERS; i++)
		CHECK(pthread_create(&forkers[i], NULL, forker, (void *)(uintptr_t)i) == 0);
	for (size_t i = 0; i < FORKERS; i++)
		CHECK(pthread_join(forkers[i], NULL) == 0);
	atomic_store(&stop, true);
	for (size_t i = 0; i < WORKERS; i++)
		CHECK(pthread_join(workers[i], NULL) == 0);
	return 0;
}
