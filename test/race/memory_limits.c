/*
 * Threads at the limits of memory: what they are refused is refused cleanly, what they hold stays whole, together they
 * do not hold more than a step for each arena beyond the hard limit; limits change under their feet, and a forked child
 * has the same.
 */
// ctest-timeout: 200
#define _GNU_SOURCE
#include "../harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

int SUT(mallctl)(const char *name, void *old, size_t *old_size, void *value, size_t size);

enum { THREADS = 4, SLOTS = 400, ROUNDS = TEST_TSAN ? 4000 : 40000, MIB = 1 << 20, SLACK = 24 * MIB };

static atomic_size_t held, refused;
static atomic_bool done;
static uint64_t seed;

static size_t get(const char *name) {
	size_t value = 0, size = sizeof value;
	CHECK(SUT(mallctl)(name, &value, &size, NULL, 0) == 0);
	return value;
}

static void set(const char *name, size_t bytes) {
	CHECK(SUT(mallctl)(name, NULL, NULL, &bytes, sizeof bytes) == 0);
}

static size_t draw(uint64_t *random) {
	size_t kind = test_below(random, 100);
	return 1 + test_below(random, kind < 50 ? 2000 : kind < 90 ? 60000 : 3 * MIB);
}

struct slot {
	void *block;
	size_t size, tag;
};

static void give(struct slot *slot) {
	CHECK(test_holds(slot->block, slot->size, slot->size, slot->tag));
	atomic_fetch_sub(&held, slot->size);
	free(slot->block);
	slot->block = NULL;
}

static void take(struct slot *slot, uint64_t *random) {
	slot->size = draw(random);
	slot->tag = test_below(random, 1000);
	errno = 0;
	slot->block = malloc(slot->size);
	if (slot->block == NULL) {
		CHECK(errno == ENOMEM);
		atomic_fetch_add(&refused, 1);
		return;
	}
	atomic_fetch_add(&held, slot->size);
	test_fill(slot->block, slot->size, slot->tag);
}

/* A block that cannot grow stays as it is. */
static void resize(struct slot *slot, uint64_t *random) {
	size_t size = draw(random), kept = size < slot->size ? size : slot->size;
	void *block = realloc(slot->block, size);
	if (block == NULL) {
		atomic_fetch_add(&refused, 1);
		return;
	}
	CHECK(test_holds(block, slot->size, kept, slot->tag));
	atomic_fetch_add(&held, size - slot->size);
	*slot = (struct slot){block, size, slot->tag};
	test_fill(block, size, slot->tag);
}

static void *work(void *argument) {
	uint64_t random = seed + (uintptr_t)argument * 977 + 1;
	struct slot slots[SLOTS] = {{0}};
	for (size_t round = test_scaled(ROUNDS); round > 0; round--) {
		struct slot *slot = &slots[test_below(&random, SLOTS)];
		if (slot->block == NULL)
			take(slot, &random);
		else if (test_below(&random, 4) == 0)
			resize(slot, &random);
		else
			give(slot);
	}
	for (size_t i = 0; i < SLOTS; i++)
		if (slots[i].block != NULL)
			give(&slots[i]);
	return NULL;
}

static void run_threads(void) {
	pthread_t threads[THREADS];
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(atomic_load(&held) == 0);
}

/* Watches what is in the hands of the program. */
static void *watch(void *argument) {
	size_t most = *(size_t *)argument, seen = 0;
	while (!atomic_load(&done)) {
		size_t now = atomic_load(&held);
		seen = now > seen ? now : seen;
		usleep(1000);
	}
	fprintf(stderr, "held at most %zu MiB of %zu, refused %zu\n", seen / MIB, most / MIB,
	        atomic_load(&refused));
	CHECK(seen <= most);
	return NULL;
}

static void under_hard_limit(size_t room) {
	pthread_t watcher;
	size_t most = room + SLACK;
	atomic_store(&done, false);
	atomic_store(&refused, 0);
	CHECK(SUT(mallctl)("arena.4096.purge", NULL, NULL, NULL, 0) == 0);
	set("ashlar.limit.hard", get("stats.ashlar.limit.used") + room);
	CHECK(pthread_create(&watcher, NULL, watch, &most) == 0);
	run_threads();
	atomic_store(&done, true);
	CHECK(pthread_join(watcher, NULL) == 0);
	CHECK(atomic_load(&refused) > 0 && get("stats.ashlar.limit.refused") > 0);
}

static void *change(void *argument) {
	uint64_t random = seed;
	(void)argument;
	while (!atomic_load(&done)) {
		set("ashlar.limit.hard", test_below(&random, 3) * 40 * MIB);
		set("ashlar.limit.soft", test_below(&random, 3) * 30 * MIB);
		(void)get("stats.ashlar.limit.purges");
		usleep(2000);
	}
	set("ashlar.limit.hard", 0);
	set("ashlar.limit.soft", 0);
	return NULL;
}

static void under_changing_limits(void) {
	pthread_t changer;
	atomic_store(&done, false);
	CHECK(pthread_create(&changer, NULL, change, NULL) == 0);
	run_threads();
	atomic_store(&done, true);
	CHECK(pthread_join(changer, NULL) == 0);
	void *block = malloc((size_t)200 * MIB);
	CHECK(block != NULL);
	free(block);
}

static void child(size_t hard) {
	CHECK(get("ashlar.limit.hard") == hard);
	CHECK(malloc(hard) == NULL && errno == ENOMEM);
	void *block = malloc(hard / 4);
	CHECK(block != NULL);
	free(block);
	set("ashlar.limit.hard", 0);
	block = malloc(hard);
	CHECK(block != NULL);
	free(block);
	_exit(0);
}

/* While others take memory. */
static void forked(void) {
	pthread_t threads[THREADS];
	const size_t hard = get("stats.ashlar.limit.used") + (size_t)400 * MIB;
	set("ashlar.limit.hard", hard);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i) == 0);
	for (int i = 0; i < 5; i++) {
		pid_t pid = fork();
		CHECK(pid >= 0);
		if (pid == 0)
			child(hard);
		int status;
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	}
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	set("ashlar.limit.hard", 0);
}

int main(void) {
	seed = test_seed();
	under_hard_limit((size_t)50 * MIB);
	set("ashlar.limit.soft", get("stats.ashlar.limit.used") + (size_t)20 * MIB);
	under_hard_limit((size_t)60 * MIB);
	under_changing_limits();
	forked();
	return 0;
}
