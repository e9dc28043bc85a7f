/* first.c - the first malloc of a thread: `threads` threads one after the other, each of which makes one block and frees
 * it. Figure: median ns of that malloc; us_thread is the whole life of a thread, its start and end included. */
#include "bench.h"

enum { MOST = 1000000 };

static void *first_body(void *arg) {
	uint64_t *ns = arg;
	uint64_t start = bench_now();
	unsigned char *block = bench_alloc(64);
	*ns = bench_now() - start;
	bench_mark(block, 64, 1);
	free(block);
	return NULL;
}

static int first_order(const void *a, const void *b) {
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv) {
	(void)argc;
	bench_start(argv, "threads");
	long threads = bench_number(argv, "threads", 10000);
	if (threads < 1 || threads > MOST)
		bench_fail("threads must be 1 to 1000000");
	uint64_t *ns = bench_map((size_t)threads * sizeof *ns);
	uint64_t start = bench_now();
	for (long i = 0; i < threads; i++)
		bench_threads(1, first_body, &ns[i], 0);
	double us = (double)(bench_now() - start) / 1e3 / (double)threads;
	qsort(ns, (size_t)threads, sizeof *ns, first_order);
	printf("first_ns=%lu us_thread=%.3f", (unsigned long)ns[threads / 2], us);
	return bench_end();
}
