// ctest-timeout: 120
/* figures.c - statistics are read, refreshed and printed while threads start and end, and arenas are made and destroyed. */
#include <pthread.h>
#include <sys/types.h>

#include "../harness.h"

int SUT(mallctl)(const char *name, void *old, size_t *old_size, void *new_value, size_t new_size);
void SUT(malloc_stats_print)(void (*write)(void *, const char *), void *opaque, const char *letters);

static volatile bool stop;

static void *work(void *unused) {
	for (int i = 0; i < 50; i++) {
		void *blocks[40];
		for (int k = 0; k < 40; k++)
			blocks[k] = malloc((size_t)(k * k) * 20 + 1);
		for (int k = 0; k < 40; k++)
			free(blocks[k]);
	}
	return unused;
}

static void *come_and_go(void *unused) {
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		pthread_t threads[4];
		for (int i = 0; i < 4; i++)
			CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
		for (int i = 0; i < 4; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
	}
	return unused;
}

static void *make_and_destroy(void *unused) {
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		unsigned index = 0;
		size_t size = sizeof index;
		char name[64];
		if (SUT(mallctl)("arenas.create", &index, &size, NULL, 0) != 0)
			break;
		(void)snprintf(name, sizeof name, "arena.%u.destroy", index);
		CHECK(SUT(mallctl)(name, NULL, NULL, NULL, 0) == 0);
	}
	return unused;
}

static void count(void *opaque, const char *text) {
	char *copy = malloc(strlen(text) + 1);
	CHECK(copy != NULL);
	*(size_t *)opaque += strlen(text);
	free(copy);
}

static uint64_t number(const char *name) {
	uint64_t value = 0;
	size_t size = sizeof value;
	CHECK(SUT(mallctl)(name, &value, &size, NULL, 0) == 0);
	return value;
}

int main(void) {
	pthread_t threads[3];
	CHECK(pthread_create(&threads[0], NULL, come_and_go, NULL) == 0);
	CHECK(pthread_create(&threads[1], NULL, come_and_go, NULL) == 0);
	CHECK(pthread_create(&threads[2], NULL, make_and_destroy, NULL) == 0);
	uint64_t before = number("epoch");
	for (int round = 0; round < (TEST_TSAN ? 10 : 60); round++) {
		uint64_t value = 0;
		size_t printed = 0;
		CHECK(SUT(mallctl)("epoch", NULL, NULL, &value, sizeof value) == 0);
		CHECK(number("stats.allocated") == number("stats.arenas.4096.small.allocated") +
		                                           number("stats.arenas.4096.large.allocated"));
		SUT(malloc_stats_print)(count, &printed, round % 3 == 0 ? "J" : round % 3 == 1 ? "O" : NULL);
		CHECK(printed > 1000);
		if (round % 10 == 0)
			CHECK(SUT(mallctl)("stats.mutexes.reset", NULL, NULL, NULL, 0) == 0);
	}
	CHECK(number("epoch") > before);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 3; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	return 0;
}
