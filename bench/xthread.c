/* xthread.c - producer/consumer pairs: one thread allocates, another frees. Pointers travel in parcels of
 * 128 through a ring of parcels with one writer and one reader, so that the hand-over itself costs little and
 * the allocator's part shows. Figure: millions of blocks per second of elapsed time, all pairs together. */
#include "bench.h"

enum { PARCEL = 128, RING = 64 };

struct xthread_parcel {
	unsigned char *block[PARCEL]; /* [writer before `written`, reader after] */
};

struct xthread_pair {
	_Alignas(64) _Atomic unsigned long written; /* [atomic] parcels put in, by the producer */
	_Alignas(64) _Atomic unsigned long taken;   /* [atomic] parcels taken out, by the consumer */
	_Alignas(64) struct xthread_parcel *ring;
	long parcels;          /* [const after start] */
	uint32_t size[PARCEL]; /* [const after start] of the blocks of every parcel */
};

struct xthread_role {
	struct xthread_pair *pair;
	bool produces;
};

static void xthread_produce(struct xthread_pair *pair) {
	for (unsigned long n = 0; n < (unsigned long)pair->parcels; n++) {
		while (n - atomic_load_explicit(&pair->taken, memory_order_acquire) == RING)
			sched_yield();
		struct xthread_parcel *parcel = &pair->ring[n % RING];
		for (int i = 0; i < PARCEL; i++) {
			parcel->block[i] = bench_alloc(pair->size[i]);
			bench_mark(parcel->block[i], pair->size[i], (unsigned)i);
		}
		atomic_store_explicit(&pair->written, n + 1, memory_order_release);
	}
}

static void xthread_consume(struct xthread_pair *pair) {
	for (unsigned long n = 0; n < (unsigned long)pair->parcels; n++) {
		while (atomic_load_explicit(&pair->written, memory_order_acquire) == n)
			sched_yield();
		struct xthread_parcel *parcel = &pair->ring[n % RING];
		for (int i = 0; i < PARCEL; i++) {
			/* A look at every eighth block: reading all would time the memory bus. */
			if (i % 8 == 0)
				bench_check(parcel->block[i], pair->size[i], (unsigned)i);
			free(parcel->block[i]);
		}
		atomic_store_explicit(&pair->taken, n + 1, memory_order_release);
	}
}

static void *xthread_thread(void *arg) {
	struct xthread_role *role = arg;
	if (role->produces)
		xthread_produce(role->pair);
	else
		xthread_consume(role->pair);
	return NULL;
}

static void xthread_prepare(struct xthread_pair *pair, uint64_t seed, char **argv) {
	struct bench_random random = bench_random_make(seed);
	uint32_t min = (uint32_t)bench_number(argv, "min", 64);
	uint32_t max = (uint32_t)bench_number(argv, "max", 64);
	pair->ring = bench_map(RING * sizeof *pair->ring);
	for (int i = 0; i < PARCEL; i++)
		pair->size[i] = min + bench_random_below(&random, max - min + 1);
}

int main(int argc, char **argv) {
	(void)argc;
	bench_start(argv, "pairs min max blocks");
	size_t pairs = (size_t)bench_number(argv, "pairs", 1);
	struct xthread_pair *pair = bench_map(pairs * sizeof *pair);
	struct xthread_role *role = bench_map(2 * pairs * sizeof *role);
	double total = 0;
	for (size_t i = 0; i < pairs; i++) {
		xthread_prepare(&pair[i], i, argv);
		pair[i].parcels = bench_number(argv, "blocks", 10000000) / PARCEL / (long)pairs;
		role[2 * i] = (struct xthread_role){&pair[i], true};
		role[2 * i + 1] = (struct xthread_role){&pair[i], false};
		total += (double)pair[i].parcels * PARCEL;
	}
	uint64_t start = bench_now();
	bench_threads((unsigned)(2 * pairs), xthread_thread, role, sizeof *role);
	double seconds = (double)(bench_now() - start) / 1e9;
	printf("mblocks=%.3f pairs=%zu", total / seconds / 1e6, pairs);
	return bench_end();
}
