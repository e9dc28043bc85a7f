/* Thousands of short threads, a few at a time, some leaving blocks for others: nothing is lost per thread. */
// ctest-timeout: 300
// ctest-also: MALLOC_CONF=percpu_cache:true
#define _GNU_SOURCE
#include "../harness.h"

#include <pthread.h>
#include <stdatomic.h>

enum { AT_ONCE = 8, THREADS = 8000, PAIRS = 60, LEFT = 64 };

static _Atomic(void *) left[LEFT];
static uint64_t seed;

static void *life(void *argument) {
	uint64_t random = seed + (uintptr_t)argument;
	void *own[16] = {NULL};
	for (int i = 0; i < PAIRS; i++) {
		size_t at = test_below(&random, 16), size = test_below(&random, i % 10 == 0 ? 40000 : 800);
		free(own[at]);
		own[at] = i % 4 == 0 ? calloc(1, size) : malloc(size);
		CHECK(own[at] != NULL);
		memset(own[at], 0x11, size);
	}
	for (size_t i = 0; i < 16; i++) {
		void *other = atomic_exchange(&left[test_below(&random, LEFT)], own[i]);
		free(other);
	}
	return NULL;
}

int main(void) {
	seed = test_seed();
	size_t rounds = test_scaled(THREADS) / AT_ONCE + 4, settled = 0;
	for (size_t round = 0; round < rounds; round++) {
		pthread_t threads[AT_ONCE];
		for (size_t i = 0; i < AT_ONCE; i++)
			CHECK(pthread_create(&threads[i], NULL, life,
			                     (void *)(uintptr_t)(round * AT_ONCE + i)) == 0);
		for (size_t i = 0; i < AT_ONCE; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
		if (round == rounds / 4)
			settled = test_status_kib("VmRSS");
	}
	size_t end = test_status_kib("VmRSS");
	CHECK(TEST_TSAN || end <= settled + settled / 4 + 4096);
	for (size_t i = 0; i < LEFT; i++)
		free(atomic_load(&left[i]));
	return 0;
}
