/* cliffs.c - one kind of request at sizes from 64 KiB to `mib` MiB: 1, 1.25, 1.5 and 1.75 times each power of two, and a
 * page below and above it. Is some size out of line with those beside it?
 *
 *   mode=malloc    malloc, free; nothing is written
 *   mode=touch     malloc, write once per page, free
 *   mode=calloc    calloc, look at each page for zero and write to it, free
 *   mode=realloc   malloc of half the size, written, realloc to the size, the rest written, free
 *
 * A size is judged by the larger of two ratios, with t its CPU time and s the size:
 *
 *   t / what a straight line between its neighbours, log t over log s, says         a spike
 *   t / (t of the size before * s / s before)                                       a step
 *
 * Figure: the worst ratio of all sizes. Those above `limit` percent are named on standard error; with check=1 the program
 * fails then; with show=1 all are printed. A time is the least of all rounds, of `us` microseconds each, or of one block if
 * that takes longer. No round begins after `seconds`. */
#include "bench.h"
#include <math.h>

#define SIZES_MAX 128
#define PAGE      4096u

struct point {
	size_t size;
	double ns, ratio;
};

static double cpu_ns(void) {
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void run_malloc(size_t size) {
	free(bench_alloc(size));
}

static void run_touch(size_t size) {
	void *p = bench_alloc(size);
	bench_touch(p, 0, size);
	free(p);
}

static void run_calloc(size_t size) {
	volatile unsigned char *p = calloc(1, size);
	if (p == NULL)
		bench_fail("calloc returned NULL");
	unsigned seen = 0;
	for (size_t i = 0; i < size; i += PAGE) {
		seen |= p[i];
		p[i] = 1;
	}
	if (seen != 0)
		bench_fail("calloc gave a block that is not zero");
	free((void *)(uintptr_t)p);
}

static void run_realloc(size_t size) {
	size_t half = size / 2;
	void *p = bench_alloc(half);
	bench_touch(p, 0, half);
	bench_mark(p, half, 0x5a);
	void *q = realloc(p, size);
	if (q == NULL)
		bench_fail("realloc returned NULL");
	bench_check(q, half, 0x5a);
	bench_touch(q, half, size);
	free(q);
}

static const struct mode {
	const char *name;
	void (*run)(size_t size);
} modes[] = {{"malloc", run_malloc}, {"touch", run_touch}, {"calloc", run_calloc}, {"realloc", run_realloc}};

static unsigned make_sizes(struct point *points, size_t limit) {
	unsigned count = 0;
	for (size_t size = 65536; size <= limit; size *= 2) {
		const size_t near[] = {size - PAGE,  size,         size + PAGE,
		                       size / 4 * 5, size / 2 * 3, size / 4 * 7};
		for (unsigned i = size == 65536; i < sizeof near / sizeof near[0]; i++)
			if (near[i] <= limit && count < SIZES_MAX)
				points[count++].size = near[i];
	}
	return count;
}

/* Nanoseconds of CPU time per block. The first block is not counted: it may be the first of its size. */
static double measure(const struct mode *mode, size_t size, double ns) {
	mode->run(size);
	double start = cpu_ns(), spent = 0;
	unsigned long done = 0;
	for (unsigned long batch = 1; spent < ns; batch *= 2) {
		for (unsigned long i = 0; i < batch; i++)
			mode->run(size);
		done += batch;
		spent = cpu_ns() - start;
	}
	return spent / (double)done;
}

static double spike(const struct point *p) {
	double low = log((double)p[-1].size), high = log((double)p[1].size);
	double part = (log((double)p->size) - low) / (high - low);
	return p->ns / exp(log(p[-1].ns) * (1 - part) + log(p[1].ns) * part);
}

static double step(const struct point *p) {
	return p->ns / (p[-1].ns * (double)p->size / (double)p[-1].size);
}

static void judge(struct point *points, unsigned count) {
	for (unsigned i = 1; i < count; i++) {
		points[i].ratio = step(&points[i]);
		if (i + 1 < count)
			points[i].ratio = fmax(points[i].ratio, spike(&points[i]));
	}
}

static const struct mode *find_mode(const char *name) {
	for (unsigned i = 0; i < sizeof modes / sizeof modes[0]; i++)
		if (name == NULL || strcmp(name, modes[i].name) == 0)
			return &modes[i];
	bench_fail("mode must be malloc, touch, calloc or realloc");
}

static void show(const struct point *points, unsigned count) {
	for (unsigned i = 0; i < count; i++)
		fprintf(stderr, "%12zu %14.1f ns %9.3f ns/KiB %6.2f\n", points[i].size, points[i].ns,
		        points[i].ns / ((double)points[i].size / 1024), points[i].ratio);
}

int main(int argc, char **argv) {
	(void)argc;
	bench_start(argv, "mode mib rounds seconds us limit check show");
	const struct mode *mode = find_mode(bench_word(argv, "mode"));
	long rounds = bench_number(argv, "rounds", 9), limit = bench_number(argv, "limit", 150);
	double ns = (double)bench_number(argv, "us", 500) * 1e3;
	struct point *points = bench_map(SIZES_MAX * sizeof *points);
	unsigned count = make_sizes(points, (size_t)bench_number(argv, "mib", 1024) << 20), bad = 0,
		 worst = 0;
	uint64_t end = bench_now() + (uint64_t)bench_number(argv, "seconds", 30) * 1000000000u;
	for (long round = 0; round < rounds && (round == 0 || bench_now() < end); round++)
		for (unsigned i = 0; i < count; i++) {
			double now = measure(mode, points[i].size, ns);
			points[i].ns = round == 0 ? now : fmin(now, points[i].ns);
		}
	judge(points, count);
	if (bench_number(argv, "show", 0) != 0)
		show(points, count);
	for (unsigned i = 0; i < count; i++) {
		worst = points[i].ratio > points[worst].ratio ? i : worst;
		if (points[i].ratio * 100 <= (double)limit)
			continue;
		bad++;
		fprintf(stderr,
		        "cliffs: %s of %zu bytes takes %.2f times what the sizes beside it say (%.0f ns)\n",
		        mode->name, points[i].size, points[i].ratio, points[i].ns);
	}
	printf("worst=%.3f at=%zu cliffs=%u", points[worst].ratio, points[worst].size, bad);
	int status = bench_end();
	return bad != 0 && bench_number(argv, "check", 0) != 0 ? 1 : status;
}
