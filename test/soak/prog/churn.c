/* churn THREADS: that many short threads, 8 at a time, 100 mixed pairs each; resident memory stays flat. */
#define _GNU_SOURCE
#include "../../harness.h"

#include <pthread.h>

enum { AT_ONCE = 8, PAIRS = 100 };

static void *life(void *argument) {
	uint64_t random = (uintptr_t)argument;
	void *own[10] = {NULL};
	for (int i = 0; i < PAIRS; i++) {
		size_t at = test_below(&random, 10), size = test_below(&random, i % 20 == 0 ? 20000 : 600);
		free(own[at]);
		own[at] = malloc(size);
		CHECK(own[at] != NULL);
		memset(own[at], 1, size < 64 ? size : 64);
	}
	for (size_t i = 0; i < 10; i++)
		free(own[i]);
	return NULL;
}

int main(int count, char **arguments) {
	CHECK(count == 2);
	size_t rounds = strtoul(arguments[1], NULL, 10) / AT_ONCE, settled = 0, most = 0;
	for (size_t round = 0; round < rounds; round++) {
		pthread_t threads[AT_ONCE];
		for (size_t i = 0; i < AT_ONCE; i++)
			CHECK(pthread_create(&threads[i], NULL, life,
			                     (void *)(uintptr_t)(round * AT_ONCE + i)) == 0);
		for (size_t i = 0; i < AT_ONCE; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
		if (round < rounds / 10)
			settled = test_status_kib("VmRSS");
		else if (round % 50 == 0 && test_status_kib("VmRSS") > most)
			most = test_status_kib("VmRSS");
	}
	fprintf(stderr, "KiB: after a tenth %zu, most afterwards %zu\n", settled, most);
	CHECK(most <= settled + settled / 10 + 1024);
	return 0;
}
