/* xthread.c - producer/consumer: blocks that one thread allocates and another frees. Pointers travel in parcels of
 * 128 through lanes, rings of parcels with one writer and one reader, so that the hand-over itself costs little and
 * the allocator's part shows. There are `lanes` of them, and shape= says who sits at their ends:
 *
 *     pairs  1:1   each lane has a writer and a reader of its own
 *     in     n:1   each lane has a writer of its own, one thread reads them all
 *     out    1:n   one thread writes to all lanes, each has a reader of its own
 *     ring         thread i writes to lane i and reads lane i - 1: frees what its neighbour made
 *
 * Figure: millions of blocks per second of elapsed time, all lanes together. */
#include "bench.h"

enum { PARCEL = 128, RING = 64 };

struct xthread_parcel {
	unsigned char *block[PARCEL]; /* [writer before `written`, reader after] */
};

struct xthread_lane {
	_Alignas(64) _Atomic unsigned long written; /* [atomic] parcels put in, by the writer */
	_Alignas(64) _Atomic unsigned long taken;   /* [atomic] parcels taken out, by the reader */
	_Alignas(64) struct xthread_parcel *ring;
	unsigned long parcels; /* [const after start] that pass in all */
	uint32_t size[PARCEL]; /* [const after start] of the blocks of every parcel */
};

/* The lanes that a thread writes to and reads. */
struct xthread_role {
	struct xthread_lane *out, *in; /* [const after start] */
	unsigned outs, ins;            /* [const after start] */
};

static bool xthread_put(struct xthread_lane *lane, unsigned long n) {
	if (n - atomic_load_explicit(&lane->taken, memory_order_acquire) == RING)
		return false;
	struct xthread_parcel *parcel = &lane->ring[n % RING];
	for (int i = 0; i < PARCEL; i++) {
		parcel->block[i] = bench_alloc(lane->size[i]);
		bench_mark(parcel->block[i], lane->size[i], (unsigned)i);
	}
	atomic_store_explicit(&lane->written, n + 1, memory_order_release);
	return true;
}

static bool xthread_take(struct xthread_lane *lane, unsigned long n) {
	if (atomic_load_explicit(&lane->written, memory_order_acquire) == n)
		return false;
	struct xthread_parcel *parcel = &lane->ring[n % RING];
	for (int i = 0; i < PARCEL; i++) {
		/* A look at every eighth block: reading all would time the memory bus. */
		if (i % 8 == 0)
			bench_check(parcel->block[i], lane->size[i], (unsigned)i);
		free(parcel->block[i]);
	}
	atomic_store_explicit(&lane->taken, n + 1, memory_order_release);
	return true;
}

/* One parcel of each lane in turn, until all that a thread has to write and read has passed. */
static void *xthread_thread(void *arg) {
	struct xthread_role *role = arg;
	for (bool left = true; left;) {
		bool moved = left = false;
		for (unsigned i = 0; i < role->outs; i++) {
			struct xthread_lane *lane = &role->out[i];
			unsigned long n = atomic_load_explicit(&lane->written, memory_order_relaxed);
			moved = (n < lane->parcels && xthread_put(lane, n)) || moved;
			left = left || n < lane->parcels;
		}
		for (unsigned i = 0; i < role->ins; i++) {
			struct xthread_lane *lane = &role->in[i];
			unsigned long n = atomic_load_explicit(&lane->taken, memory_order_relaxed);
			moved = (n < lane->parcels && xthread_take(lane, n)) || moved;
			left = left || n < lane->parcels;
		}
		if (!moved)
			sched_yield();
	}
	return NULL;
}

static void xthread_prepare(struct xthread_lane *lane, uint64_t seed, char **argv) {
	struct bench_random random = bench_random_make(seed);
	uint32_t min = (uint32_t)bench_number(argv, "min", 64);
	uint32_t max = (uint32_t)bench_number(argv, "max", 64);
	lane->ring = bench_map(RING * sizeof *lane->ring);
	for (int i = 0; i < PARCEL; i++)
		lane->size[i] = min + bench_random_below(&random, max - min + 1);
}

/* Fills `role` for the lanes; how many threads that makes. */
static unsigned xthread_cast(struct xthread_role *role, struct xthread_lane *lane, unsigned lanes,
                             char **argv) {
	const char *shape = bench_word(argv, "shape");
	bool ring = bench_is(argv, "shape", "ring"), in = bench_is(argv, "shape", "in");
	bool out = bench_is(argv, "shape", "out");
	if (shape != NULL && !ring && !in && !out && strcmp(shape, "pairs") != 0)
		bench_fail("shape must be pairs, in, out or ring");
	unsigned n = 0;
	for (unsigned i = 0; ring && i < lanes; i++)
		role[n++] = (struct xthread_role){&lane[i], &lane[(i + lanes - 1) % lanes], 1, 1};
	for (unsigned i = 0; !ring && !out && i < lanes; i++)
		role[n++] = (struct xthread_role){&lane[i], NULL, 1, 0};
	for (unsigned i = 0; !ring && !in && i < lanes; i++)
		role[n++] = (struct xthread_role){NULL, &lane[i], 0, 1};
	if (in)
		role[n++] = (struct xthread_role){NULL, lane, 0, lanes};
	if (out)
		role[n++] = (struct xthread_role){lane, NULL, lanes, 0};
	return n;
}

int main(int argc, char **argv) {
	(void)argc;
	bench_start(argv, "shape lanes min max blocks");
	unsigned lanes = (unsigned)bench_number(argv, "lanes", 1);
	struct xthread_lane *lane = bench_map(lanes * sizeof *lane);
	struct xthread_role *role = bench_map((2 * (size_t)lanes + 1) * sizeof *role);
	double total = 0;
	for (unsigned i = 0; i < lanes; i++) {
		xthread_prepare(&lane[i], i, argv);
		lane[i].parcels = (unsigned long)bench_number(argv, "blocks", 10000000) / PARCEL / lanes;
		total += (double)lane[i].parcels * PARCEL;
	}
	unsigned threads = xthread_cast(role, lane, lanes, argv);
	uint64_t start = bench_now();
	bench_threads(threads, xthread_thread, role, sizeof *role);
	double seconds = (double)(bench_now() - start) / 1e9;
	printf("mblocks=%.3f threads=%u lanes=%u", total / seconds / 1e6, threads, lanes);
	return bench_end();
}
