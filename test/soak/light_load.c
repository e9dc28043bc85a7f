/*
 * A burst is freed, and what follows is a light load that the thread's cache serves: a hundred or a thousand calls a second.
 * Nothing but those calls drives the clock: there is one thread, or the helper is forbidden. The memory must be back after
 * the decay time and some seconds. The clock is the test's own, so nobody waits.
 */
// ctest-timeout: 120
#define _GNU_SOURCE
#include "../clock.h"
#include "../harness.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/wait.h>

extern const char *malloc_conf;
const char *malloc_conf = "helper_thread:false";

enum { BURST = 256 << 20, DECAY = 10, SLACK = 10 * 1024 };

struct block {
	struct block *next;
};

static struct block *take(size_t size) {
	struct block *list = NULL;
	for (size_t bytes = 0; bytes < BURST; bytes += size) {
		struct block *block = malloc(size);
		CHECK(block != NULL);
		memset(block, 1, size);
		block->next = list;
		list = block;
	}
	return list;
}

static void drop(struct block *list) {
	while (list != NULL) {
		struct block *next = list->next;
		free(list);
		list = next;
	}
}

static size_t threads(void) {
	size_t count = 0;
	DIR *folder = opendir("/proc/self/task");
	CHECK(folder != NULL);
	for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count;
}

/* Pairs of calls, by the test's clock: blocks of many sizes, small ones more often. */
static void load(double seconds, unsigned calls_a_second) {
	static uint64_t random = 1;
	for (unsigned i = 0; i < seconds * calls_a_second; i += 2) {
		free(malloc(16 + test_below(&random, (size_t)16 << test_below(&random, 6))));
		pass(2.0 / calls_a_second);
	}
}

/* A look at the clock comes after 128 requests or so; it may take two of them to see what is unused, and that it is old. */
static double late(unsigned calls_a_second) {
	return 1 + 2 * 128.0 / (calls_a_second / 2.0);
}

static void one_thread(size_t size, unsigned calls_a_second) {
	load(1000, 100); /* warm, and granted a lot */
	size_t start = test_status_kib("VmRSS");
	drop(take(size));
	size_t freed = test_status_kib("VmRSS");
	load(DECAY / 4.0, calls_a_second);
	size_t early = test_status_kib("VmRSS");
	load(DECAY * 3 / 4.0 + late(calls_a_second), calls_a_second);
	size_t end = test_status_kib("VmRSS");
	fprintf(stderr, "blocks of %zu, %u calls a second, KiB: %zu, freed %zu, early %zu, in the end %zu\n",
	        size, calls_a_second, start, freed, early, end);
	CHECK(freed > BURST / 1024 && early > BURST / 1024 / 2);
	CHECK(end < start + SLACK);
	CHECK(threads() == 1);
}

static void small_blocks(void) {
	one_thread(100, 1000);
}

static void middle_blocks(void) {
	one_thread(20000, 100);
}

static void large_blocks(void) {
	one_thread(1 << 20, 100);
}

static void *only_frees(void *argument) {
	struct block *list = argument;
	size_t start = test_status_kib("VmRSS");
	for (size_t i = 0; i < 20000; i++) {
		struct block *next = list->next;
		free(list);
		list = next;
		pass(0.01);
	}
	size_t end = test_status_kib("VmRSS");
	fprintf(stderr, "a thread that only frees, KiB: %zu, in the end %zu\n", start, end);
	CHECK(end + BURST / 1024 / 2 < start);
	drop(list);
	return NULL;
}

/* Another thread's memory is what the second one drives out, by the frees it does and nothing else. */
static void free_only(void) {
	pthread_t thread;
	struct block *kept = take(64);
	drop(take(10000));
	CHECK(pthread_create(&thread, NULL, only_frees, kept) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

static void in_a_child(void (*scene)(void)) {
	pid_t child = fork();
	int status;
	CHECK(child >= 0);
	if (child == 0) {
		scene();
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(void) {
	in_a_child(small_blocks);
	in_a_child(middle_blocks);
	in_a_child(large_blocks);
	in_a_child(free_only);
	return 0;
}
