/*
 * Most blocks are freed, and then the program rests: none of its threads comes to the library again. The helper alone goes
 * round the slabs, twice, to find that they are idle, and gives back their pages without a block. There are more slabs than
 * it visits in a go.
 */
// ctest-timeout: 120
// ctest: MALLOC_CONF=dirty_decay_ms:1000,slab_sizes:1024-1024:2
#define _GNU_SOURCE
#include "../harness.h"
#include "../helpers.h"

#include <fcntl.h>
#include <pthread.h>

enum { MIB = 256, SIZE = 1024, SLAB = 8, BLOCKS = MIB * 1024 };

static void *block[BLOCKS];

/* Without an allocation: KiB. */
static size_t resident(void) {
	char line[128] = "", *at = line;
	int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	CHECK(file >= 0 && read(file, line, sizeof line - 1) > 0);
	close(file);
	(void)strtoul(line, &at, 10);
	return strtoul(at, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

static void *sleeps(void *argument) {
	for (;;)
		pause();
	return argument;
}

int main(void) {
	pthread_t thread;
	if (TEST_TSAN) /* whose shadow of the blocks stays */
		return 77;
	CHECK(pthread_create(&thread, NULL, sleeps, NULL) == 0);
	for (size_t i = 0; i < BLOCKS; i++) {
		block[i] = malloc(SIZE);
		CHECK(block[i] != NULL);
		memset(block[i], 1, SIZE);
	}
	for (size_t i = 0; i < BLOCKS; i++)
		if (i % SLAB != 0)
			free(block[i]);
	expect_helpers(1);
	size_t freed = resident(), now = freed;
	for (int i = 0; i < 300 && now > freed * 6 / 10; i++) { /* some two seconds are enough */
		usleep(100000);
		now = resident();
	}
	fprintf(stderr, "freed, at rest: %zu, %zu KiB\n", freed, now);
	CHECK(freed > MIB * 1024 && now <= freed * 6 / 10);
	return 0;
}
