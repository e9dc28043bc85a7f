/*
 * The option percpu_cache where it may not be had: under emulators, with other C libraries. The heap works either way and says
 * which it is; and the instructions of the sequences do what they are for on this machine, undisturbed.
 */
#include "../harness.h"

#include "os/rseq.h"

int mallctl(const char *name, void *old, size_t *old_size, void *value, size_t size);

extern const char *malloc_conf;
const char *malloc_conf = "percpu_cache:true";

enum { CPUS = 3, DEPTH = 20, STEPS = 100000, BLOCKS = 1000 };

static void use_heap(void) {
	static unsigned char *block[BLOCKS];
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < BLOCKS; i++) {
			block[i] = malloc(1 + i * 7);
			CHECK(block[i] != NULL);
			memset(block[i], (int)i & 255, 1 + i * 7);
		}
		for (unsigned i = 0; i < BLOCKS; i++) {
			CHECK(block[i][0] == (i & 255) && block[i][i * 7] == (i & 255));
			free(block[i]);
		}
	}
}

static size_t figure(const char *name, size_t size) {
	size_t value = 0;
	CHECK(mallctl(name, &value, &size, NULL, 0) == 0);
	return value;
}

#ifdef RSEQ_KNOWN
static struct rseq_stack *nth(struct rseq_stack *first, unsigned cpu) {
	return (struct rseq_stack *)((char *)first + cpu * RSEQ_SPAN);
}

static void use_sequences(void) {
	static uintptr_t model[CPUS][DEPTH];
	static struct rseq_area area;
	unsigned count[CPUS] = {0};
	uint64_t random = test_seed();
	struct rseq_stack *first = calloc(CPUS, RSEQ_SPAN);
	CHECK(first != NULL);
	for (unsigned step = 1; step < STEPS; step++) {
		unsigned cpu = (unsigned)test_below(&random, CPUS + 1);
		bool there = cpu < CPUS, is_open = there && test_below(&random, 5) != 0;
		area.cpu = cpu;
		if (there)
			nth(first, cpu)->end = is_open ? DEPTH : 0;
		uintptr_t block = step % 5 == 0 && is_open && count[cpu] > 0 ? model[cpu][count[cpu] - 1]
		                                                             : (uintptr_t)step << 12;
		if (test_below(&random, 2) == 0) {
			bool fits = is_open && count[cpu] < DEPTH &&
			            (count[cpu] == 0 || model[cpu][count[cpu] - 1] != block);
			CHECK(rseq_push_in(&area, first, CPUS, (void *)block) == fits);
			if (fits)
				model[cpu][count[cpu]++] = block;
		} else {
			uintptr_t expected = is_open && count[cpu] > 0 ? model[cpu][--count[cpu]] : 0;
			CHECK((uintptr_t)rseq_pop_in(&area, first, CPUS) == expected);
		}
		CHECK(!there || nth(first, cpu)->count == count[cpu]);
		CHECK(area.sequence != 0);
	}
	free(first);
}
#else
static void use_sequences(void) {}
#endif

int main(void) {
	use_heap();
	printf("caches of CPUs: %zu\n", figure("stats.ashlar.percpu.on", sizeof(bool)));
	CHECK(figure("opt.percpu_cache", sizeof(bool)) == 1);
	CHECK((figure("stats.ashlar.percpu.cpus", sizeof(size_t)) != 0) ==
	      (figure("stats.ashlar.percpu.on", sizeof(bool)) != 0));
	use_sequences();
	return 0;
}
