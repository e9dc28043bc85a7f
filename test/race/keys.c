/*
 * Teardown: destructors of thread keys that allocate and free in every round the C library grants, for keys
 * created before and after the first allocation, in threads that used the heap much, little, or not at all.
 */
// ctest-timeout: 300
// ctest-also: MALLOC_CONF=percpu_cache:true
#define _GNU_SOURCE
#include "../harness.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

/* ThreadSanitizer ends its own thread state in the last round and cannot follow anything after that. */
enum { KEYS = 12, THREADS = 2000, AT_ONCE = 8, DEATHS = PTHREAD_DESTRUCTOR_ITERATIONS - TEST_TSAN };

static pthread_key_t keys[KEYS];
static atomic_size_t destroyed;

struct value {
	pthread_key_t key;
	int round;
	unsigned char *block;
	size_t size;
};

/* Frees in each round what the round before took; the last one may leave nothing for a fifth. */
static void destroy(void *argument) {
	struct value *value = argument;
	CHECK(test_holds(value->block, value->size, value->size, value->key));
	atomic_fetch_add(&destroyed, 1);
	if (++value->round == DEATHS) {
		free(value->block);
		free(value);
		return;
	}
	struct value *next = malloc(sizeof *next);
	CHECK(next != NULL);
	*next = *value;
	next->size = value->size * 3 + 1;
	next->block = value->round % 2 == 0 ? realloc(value->block, next->size) : calloc(1, next->size);
	CHECK(next->block != NULL);
	if (value->round % 2 != 0)
		free(value->block);
	test_fill(next->block, next->size, next->key);
	void *burst[40];
	for (size_t i = 0; i < 40; i++)
		burst[i] = malloc(i * 97);
	for (size_t i = 0; i < 40; i++) {
		CHECK(burst[i] != NULL);
		free(burst[i]);
	}
	free(value);
	CHECK(pthread_setspecific(next->key, next) == 0);
}

static void *life(void *argument) {
	size_t use = (size_t)(uintptr_t)argument % 3;
	for (size_t i = 0; i < use * 200; i++) {
		void *ptr = malloc(i * 13);
		CHECK(ptr != NULL);
		free(ptr);
	}
	for (size_t i = 0; i < KEYS; i++) {
		struct value *value = malloc(sizeof *value);
		CHECK(value != NULL);
		value->key = keys[i];
		value->round = 0;
		value->size = 30 + i * 700;
		value->block = malloc(value->size);
		CHECK(value->block != NULL);
		test_fill(value->block, value->size, value->key);
		CHECK(pthread_setspecific(keys[i], value) == 0);
	}
	return NULL;
}

int main(void) {
	for (size_t i = 0; i < KEYS / 2; i++)
		CHECK(pthread_key_create(&keys[i], destroy) == 0);
	free(malloc(100));
	for (size_t i = KEYS / 2; i < KEYS; i++)
		CHECK(pthread_key_create(&keys[i], destroy) == 0);
	size_t rounds = test_scaled(THREADS) / AT_ONCE + 4, settled = 0;
	for (size_t round = 0; round < rounds; round++) {
		pthread_t threads[AT_ONCE];
		for (size_t i = 0; i < AT_ONCE; i++)
			CHECK(pthread_create(&threads[i], NULL, life, (void *)(uintptr_t)(i + round)) == 0);
		for (size_t i = 0; i < AT_ONCE; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
		if (round == rounds / 4)
			settled = test_status_kib("VmRSS");
	}
	CHECK(atomic_load(&destroyed) == rounds * AT_ONCE * KEYS * DEATHS);
	CHECK(TEST_TSAN || test_status_kib("VmRSS") <= settled + settled / 4 + 4096);
	return 0;
}
