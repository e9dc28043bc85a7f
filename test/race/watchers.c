/* Events registered while threads run, counters read in all of them, and caches handed from thread to thread with a lock,
 * while the process forks. */
// ctest-timeout: 300
// ctest-also: MALLOC_CONF=percpu_cache:true
#define _GNU_SOURCE
#include "../harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

int SUT(mallctl)(const char *name, void *old, size_t *old_size, void *new, size_t new_size);
void *SUT(mallocx)(size_t size, int flags);
void SUT(dallocx)(void *ptr, int flags);

enum { WORKERS = 6, CACHES = 4, STEPS = 3000, HELD = 60 };

static uint64_t seed;
static _Atomic(unsigned) events, running;

static struct {
	pthread_mutex_t lock;
	unsigned id;
	void *held[HELD];
} caches[CACHES];

static uint64_t read_number(const char *name) {
	uint64_t value;
	size_t size = sizeof value;
	CHECK(SUT(mallctl)(name, &value, &size, NULL, 0) == 0);
	return value;
}

static void note(bool is_alloc, uint64_t allocated, uint64_t freed) {
	(void)is_alloc;
	CHECK(allocated + ((uint64_t)1 << 40) > freed);
	free(malloc(50));
	atomic_fetch_add(&events, 1);
}
static void note_too(bool is_alloc, uint64_t allocated, uint64_t freed) {
	note(!is_alloc, allocated, freed);
}

static void register_hook(void (*call)(bool, uint64_t, uint64_t), uint64_t interval) {
	struct {
		void (*call)(bool, uint64_t, uint64_t);
		uint64_t interval;
		bool allocations_only;
	} request = {call, interval, false};
	CHECK(SUT(mallctl)("experimental.hooks.thread_event", NULL, NULL, &request, sizeof request) == 0);
}

/* Works with one of the explicit caches, alone as long as it holds the lock. */
static void borrow(uint64_t *random) {
	size_t i = test_below(random, CACHES);
	CHECK(pthread_mutex_lock(&caches[i].lock) == 0);
	int flags = (int)(caches[i].id + 2) << 8;
	for (int step = 0; step < 20; step++) {
		void **slot = &caches[i].held[test_below(random, HELD)];
		if (*slot != NULL)
			SUT(dallocx)(*slot, flags);
		*slot = SUT(mallocx)(test_below(random, 3000) + 1, flags);
		CHECK(*slot != NULL);
		*(unsigned char *)*slot = (unsigned char)i;
	}
	if (test_below(random, 20) == 0)
		CHECK(SUT(mallctl)("tcache.flush", NULL, NULL, &caches[i].id, sizeof caches[i].id) == 0);
	CHECK(pthread_mutex_unlock(&caches[i].lock) == 0);
}

static void *work(void *argument) {
	uint64_t random = seed + (uintptr_t)argument;
	uint64_t allocated = 0;
	void *own[32] = {NULL};
	for (size_t i = 0; i < test_scaled(STEPS); i++) {
		size_t at = test_below(&random, 32);
		free(own[at]);
		CHECK((own[at] = malloc(test_below(&random, 5000))) != NULL);
		if (i % 16 == 0)
			borrow(&random);
		uint64_t before = allocated;
		if (i % 64 == 0)
			CHECK((allocated = read_number("thread.allocated")) >= before);
		if (i % 500 == (uintptr_t)argument)
			(void)read_number("thread.peak.read");
	}
	for (size_t i = 0; i < 32; i++)
		free(own[i]);
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static void fork_once(void) {
	pid_t child = fork();
	if (child == 0) {
		void *block = malloc(100);
		uint64_t before = read_number("thread.allocated");
		CHECK(malloc(100) != NULL);
		_exit(block != NULL && read_number("thread.allocated") == before + 112 ? 0 : 1);
	}
	int status;
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(void) {
	pthread_t threads[WORKERS];
	seed = test_seed();
	for (int i = 0; i < CACHES; i++) {
		size_t size = sizeof caches[i].id;
		CHECK(pthread_mutex_init(&caches[i].lock, NULL) == 0);
		CHECK(SUT(mallctl)("tcache.create", &caches[i].id, &size, NULL, 0) == 0);
	}
	atomic_store(&running, WORKERS);
	for (uintptr_t i = 0; i < WORKERS; i++)
		CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
	for (unsigned round = 0; atomic_load(&running) > 0; round++) {
		uint64_t one = 1;
		if (round > 1)
			register_hook(round % 2 == 0 ? note : note_too, 1000 + round % 7 * 5000);
		CHECK(SUT(mallctl)("epoch", NULL, NULL, &one, sizeof one) == 0);
		if (round % 8 == 0)
			fork_once();
		(void)usleep(500);
	}
	for (int i = 0; i < WORKERS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	for (int i = 0; i < CACHES; i++) {
		for (int j = 0; j < HELD; j++)
			free(caches[i].held[j]);
		CHECK(SUT(mallctl)("tcache.destroy", NULL, NULL, &caches[i].id, sizeof caches[i].id) == 0);
	}
	register_hook(note, 1000);
	for (int i = 0; i < 100; i++)
		free(malloc(1000));
	CHECK(atomic_load(&events) >= 90);
	return 0;
}
