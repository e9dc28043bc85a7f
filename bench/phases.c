/* phases.c - a program that lives through `phases` phases, each with other sizes than the one before: it allocates
 * `mib` MiB of blocks of the phase's sizes and frees them but for one in `keep`, chosen at random; these survivors
 * die `age` phases later. Memory that one phase leaves behind must serve the next or go back. The sizes of a phase
 * lie in [s, 3 s / 2], s from 16 B to 24 KiB in an order that jumps.
 * Figure: the highest resident set over the most that was live at once (ratio, both by the program). */
#include "bench.h"

#include <sys/resource.h>

/* A block's header, which also strings the survivors together. */
struct phases_block {
	struct phases_block *next;
	size_t size;
};

struct phases_state {
	struct bench_random random;
	struct phases_block **survivors; /* lists, by phase modulo `age` */
	unsigned age;
	uint32_t keep;
	size_t live, most; /* bytes */
};

static const uint32_t phases_sizes[] = {48, 6144, 128, 24576, 16, 1024, 320, 12288, 64, 3072, 512, 192};

static struct phases_block *phases_put(struct phases_state *state, uint32_t base) {
	size_t size = base + bench_random_below(&state->random, base / 2 + 1);
	struct phases_block *block = bench_alloc(size);
	bench_touch(block, 0, size);
	block->size = size;
	state->live += size;
	state->most = state->live > state->most ? state->live : state->most;
	return block;
}

static void phases_drop(struct phases_state *state, struct phases_block *list) {
	while (list != NULL) {
		struct phases_block *next = list->next;
		state->live -= list->size;
		free(list);
		list = next;
	}
}

/* The blocks of one phase, which all live at its end; at its end most of them die. */
static long phases_run(struct phases_state *state, unsigned phase, size_t bytes) {
	uint32_t base = phases_sizes[phase % (sizeof phases_sizes / sizeof phases_sizes[0])];
	struct phases_block **old = &state->survivors[phase % state->age], *dying = NULL, *staying = NULL;
	long count = 0;
	for (size_t sum = 0; sum < bytes; count++) {
		struct phases_block *block = phases_put(state, base);
		struct phases_block **list =
			bench_random_below(&state->random, state->keep) == 0 ? &staying : &dying;
		sum += block->size;
		block->next = *list;
		*list = block;
	}
	phases_drop(state, dying);
	phases_drop(state, *old);
	*old = staying;
	return count;
}

static long phases_peak(void) {
	struct rusage used;
	if (getrusage(RUSAGE_SELF, &used) != 0)
		bench_fail("getrusage");
	return used.ru_maxrss;
}

int main(int argc, char **argv) {
	(void)argc;
	bench_start(argv, "phases mib keep age");
	unsigned phases = (unsigned)bench_number(argv, "phases", 24);
	size_t bytes = (size_t)bench_number(argv, "mib", 32) << 20;
	struct phases_state state = {
		.random = bench_random_make(5),
		.age = (unsigned)bench_number(argv, "age", 4),
		.keep = (uint32_t)bench_number(argv, "keep", 20),
	};
	long count = 0;
	state.survivors = bench_map(state.age * sizeof *state.survivors);
	uint64_t start = bench_now();
	for (unsigned phase = 0; phase < phases; phase++)
		count += phases_run(&state, phase, bytes);
	double ns = (double)(bench_now() - start) / (double)count;
	for (unsigned i = 0; i < state.age; i++)
		phases_drop(&state, state.survivors[i]);
	double most = (double)state.most / 1024, peak = (double)phases_peak();
	printf("over_live=%.3f peak_self_kib=%.0f live_kib=%.0f ns=%.3f", peak / most, peak, most, ns);
	return bench_end();
}
