/*
 * late_burst: a program with an idle second thread sits still until the helper thread sleeps for long.  Then it takes and
 * frees 128 MiB within a moment, and sits still again: that moment wakes the helper before there is anything to do.
 */
#define _GNU_SOURCE
#include "../../harness.h"
#include "../../idle.h"

enum { BLOCKS = 128, BLOCK = 1 << 20, SETTLE = 13, IDLE = 14 };

/* The first visit wakes the helper; what follows comes when it has looked, and before it would look again. */
static void burst(void) {
	static void *blocks[BLOCKS];
	for (size_t i = 0; i < BLOCKS; i++) {
		blocks[i] = malloc(BLOCK);
		CHECK(blocks[i] != NULL);
		memset(blocks[i], 1, BLOCK);
		if (i == 0)
			usleep(5000);
	}
	for (size_t i = 0; i < BLOCKS; i++)
		free(blocks[i]);
}

int main(void) {
	pthread_t thread = start_idle();
	free(malloc(BLOCK));
	sleep(SETTLE + 10); /* the decay time, and ten quiet seconds */
	size_t start = test_status_kib("VmRSS");
	burst();
	size_t freed = test_status_kib("VmRSS");
	sleep(IDLE);
	size_t idle = test_status_kib("VmRSS");
	fprintf(stderr, "KiB: before %zu, just freed %zu, idle %zu\n", start, freed, idle);
	CHECK(freed > start + 100 * 1024 && idle < start + 10 * 1024);
	end_idle(thread);
	return 0;
}
