/*
 * What the profiler says is live, against what is: a heap of many sizes, 1 GiB, over and over. Altogether, by
 * the formula readers apply to a dump, and by size class, so that no size counts for more or less than it is.
 */
// ctest: MALLOC_CONF=prof:true,prof_stats:true,lg_prof_sample:19
// ctest-timeout: 400
// ctest-link: m
#include "ctl.h"

#include <math.h>

enum { CLASSES = 36, LARGES = 20, RUNS = 20 };

static double mean = 1 << 19;
static uint64_t random_state;

static size_t sizes[CLASSES + LARGES];
static void **blocks[CLASSES + LARGES];
static size_t counts[CLASSES + LARGES];
static double truth[CLASSES + LARGES], estimate[CLASSES + LARGES], samples[CLASSES + LARGES];

struct requests {
	uint64_t bytes, count;
};

static void read_sizes(void) {
	char name[64];
	for (int i = 0; i < CLASSES; i++) {
		(void)snprintf(name, sizeof name, "arenas.bin.%d.size", i);
		sizes[i] = CTL_GET(size_t, name);
	}
	for (int i = 0; i < LARGES; i++) {
		(void)snprintf(name, sizeof name, "arenas.lextent.%d.size", i);
		sizes[CLASSES + i] = CTL_GET(size_t, name);
	}
}

/* Each size has the same share of the bytes; it is reached by allocating and freeing in turn, more the former. */
static void fill(size_t share) {
	for (int i = 0; i < CLASSES + LARGES; i++) {
		counts[i] = 0;
		blocks[i] = calloc(share / sizes[i] + 1, sizeof *blocks[i]);
		CHECK(blocks[i] != NULL);
	}
	for (size_t left = (size_t)(CLASSES + LARGES) * 1000; left > 0; left--) {
		size_t i = test_below(&random_state, CLASSES + LARGES), part = share / sizes[i] / 1000 + 1;
		for (size_t n = 0; n < part && (counts[i] + 1) * sizes[i] <= share; n++) {
			blocks[i][counts[i]++] = n % 4 == 0 ? calloc(1, sizes[i]) : malloc(sizes[i]);
			if (counts[i] > 2 && test_below(&random_state, 4) == 0) {
				size_t at = test_below(&random_state, counts[i]);
				free(blocks[i][at]);
				blocks[i][at] = blocks[i][--counts[i]];
			}
		}
	}
}

static void release(void) {
	for (int i = 0; i < CLASSES + LARGES; i++) {
		for (size_t n = 0; n < counts[i]; n++)
			free(blocks[i][n]);
		free(blocks[i]);
	}
}

static void first_piece(void *opaque, const void *data, size_t size) {
	char *head = opaque;
	if (head[0] == 0)
		memcpy(head, data, size < 200 ? size : 200);
}

/* As jeprof and pprof read the second line. */
static double read_total(void) {
	char head[256] = "";
	unsigned long objects, bytes, rate;
	struct {
		void (*write)(void *, const void *, size_t);
		void *opaque;
	} receiver = {first_piece, head};
	CHECK(ctl_write("prof.dump_call", &receiver, sizeof receiver) == 0);
	CHECK(sscanf(head, "heap_v2/%lu\n  t*: %lu: %lu", &rate, &objects, &bytes) == 3);
	if (objects == 0)
		return 0;
	double size = (double)bytes / (double)objects;
	return (double)bytes / (1 - exp(-size / (double)rate));
}

static void add_classes(size_t run) {
	char name[64];
	for (int i = 0; i < CLASSES + LARGES; i++) {
		struct requests live;
		(void)snprintf(name, sizeof name,
		               i < CLASSES ? "prof.stats.bins.%d.live" : "prof.stats.lextents.%d.live",
		               i < CLASSES ? i : i - CLASSES);
		CHECK(ctl_read(name, &live, sizeof live) == 0);
		struct requests all;
		(void)snprintf(name, sizeof name,
		               i < CLASSES ? "prof.stats.bins.%d.accum" : "prof.stats.lextents.%d.accum",
		               i < CLASSES ? i : i - CLASSES);
		CHECK(ctl_read(name, &all, sizeof all) == 0);
		CHECK(all.count >= live.count + (run > 0) && live.bytes <= live.count * sizes[i]);
		double z = (double)sizes[i];
		truth[i] += (double)counts[i] * z;
		samples[i] += (double)live.count;
		estimate[i] += (double)live.count * z / (1 - exp(-z / mean));
	}
}

int main(void) {
	random_state = test_seed();
	read_sizes();
	size_t runs = test_scaled(RUNS), share = (size_t)2048 * 1024 * 1024 / (CLASSES + LARGES);
	double error = 0, bias = 0;
	for (size_t run = 0; run < runs; run++) {
		double before = read_total(), whole = 0;
		fill(share);
		for (int i = 0; i < CLASSES + LARGES; i++)
			whole += (double)(counts[i] * sizes[i]) +
			         (double)(share / sizes[i] + 1) * sizeof(void *);
		double off = (read_total() - before - whole) / whole;
		error += fabs(off) / (double)runs;
		bias += off / (double)runs;
		add_classes(run);
		release();
	}
	printf("error %.2f %% on average, bias %.2f %%\n", error * 100, bias * 100);
	CHECK(error < (runs < RUNS ? 0.1 : 0.03)); /* some 2000 samples a run: 1.8 % are to be expected */
	CHECK(fabs(bias) < (runs < RUNS ? 0.1 : 0.02));
	/* A class is sampled like coins are tossed: five standard deviations are never. */
	double worst = 0;
	for (int i = 0; i < CLASSES + LARGES; i++) {
		double part = 1 - exp(-(double)sizes[i] / mean);
		double expected = truth[i] / (double)sizes[i] * part;
		double deviation = (samples[i] - expected) / sqrt(expected * (1 - part) + 1);
		printf("%9zu bytes: %8.0f samples, estimate/truth %.3f, %5.2f deviations\n", sizes[i],
		       samples[i], estimate[i] / truth[i], deviation);
		worst = fabs(deviation) > worst ? fabs(deviation) : worst;
	}
	CHECK(worst < 5);
	return 0;
}
