/*
 * A server whose objects change: always about 48 MiB live, but in each phase of other sizes, with a few
 * survivors of every phase.  What the phases leave behind must serve the next ones.
 */
#define _GNU_SOURCE
#include "../../harness.h"

enum { PHASES = 24, LIVE = 48 << 20, SLOTS = 400000 };

static void *blocks[SLOTS];
static size_t sizes[SLOTS];

int main(void) {
	static const size_t typical[] = {24, 60, 100, 200, 350, 900, 1500, 4000, 9000, 30000};
	uint64_t random = test_seed();
	size_t live = 0, most = 0, highest = 0;
	for (size_t phase = 0; phase < PHASES; phase++) {
		size_t around = typical[phase * 7 % 10];
		/* All but one in forty of what is there goes, in no order; new objects fill up. */
		for (size_t i = 0; i < SLOTS; i++)
			if (blocks[i] != NULL && test_below(&random, 40) != 0) {
				free(blocks[i]);
				blocks[i] = NULL;
				live -= sizes[i];
			}
		size_t at = test_below(&random, SLOTS);
		for (size_t tries = 0; live < LIVE && tries < SLOTS; tries++, at = (at + 1) % SLOTS) {
			if (blocks[at] != NULL)
				continue;
			sizes[at] = around + test_below(&random, around);
			blocks[at] = malloc(sizes[at]);
			CHECK(blocks[at] != NULL);
			memset(blocks[at], 1, sizes[at]);
			live += sizes[at];
		}
		most = live > most ? live : most;
		size_t now = test_status_kib("VmRSS");
		highest = now > highest ? now : highest;
	}
	fprintf(stderr, "KiB: most live %zu, highest resident %zu\n", most / 1024, highest);
	/* Survivors pin slabs and dirty pages are on their way back; what may not add up is the phases. */
	CHECK(highest <= most / 1024 * 3 + SLOTS * 16 / 1024 + 8 * 1024);
	for (size_t i = 0; i < SLOTS; i++)
		free(blocks[i]);
	return 0;
}
