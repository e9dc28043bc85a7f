/* falseshare.c - do threads get small blocks that share a cache line? mode=active: every thread allocates a
 * small block, writes to it `writes` times, frees it, over and over. mode=passive: the main thread allocates
 * all the first blocks side by side and hands them out; the threads free them and go on as above, so that an
 * allocator that keeps freed blocks where they came from goes on sharing. Figure: ns per write. */
#include "bench.h"

struct falseshare_thread {
	unsigned char *first; /* [const after start] block from the main thread, or NULL */
	size_t size;          /* [const after start] */
	long rounds, writes;  /* [const after start] */
	pthread_barrier_t *gate;
};

static void *falseshare_body(void *arg) {
	struct falseshare_thread *self = arg;
	pthread_barrier_wait(self->gate);
	free(self->first);
	for (long i = 0; i < self->rounds; i++) {
		volatile unsigned char *p = bench_alloc(self->size);
		p[0] = 0;
		for (long j = 0; j < self->writes; j++)
			p[0]++;
		if (p[0] != (unsigned char)self->writes)
			bench_fail("a write was lost");
		free((void *)(uintptr_t)p);
	}
	return NULL;
}

int main(int argc, char **argv) {
	(void)argc;
	bench_start(argv, "mode threads size rounds writes");
	unsigned threads = (unsigned)bench_number(argv, "threads", 2);
	bool passive = bench_is(argv, "mode", "passive");
	pthread_barrier_t gate;
	pthread_barrier_init(&gate, NULL, threads);
	struct falseshare_thread *thread = bench_map(threads * sizeof *thread);
	for (unsigned i = 0; i < threads; i++) {
		thread[i].size = (size_t)bench_number(argv, "size", 8);
		thread[i].first = passive ? bench_alloc(thread[i].size) : NULL;
		thread[i].rounds = bench_number(argv, "rounds", 100000);
		thread[i].writes = bench_number(argv, "writes", 1000);
		thread[i].gate = &gate;
	}
	uint64_t start = bench_now();
	bench_threads(threads, falseshare_body, thread, sizeof *thread);
	double ns = (double)(bench_now() - start) / (double)thread[0].rounds / (double)thread[0].writes;
	printf("ns_write=%.4f threads=%u", ns, threads);
	return bench_end();
}
