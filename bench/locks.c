/* locks.c - how long the library holds its locks. Linked around the library's own objects (--wrap), it makes a build of it
 * to preload that notes, from each lock_take to its lock_drop, the time between. LOCK_TIMES=FILE gets a line per lock at the
 * end of the process:
 *
 *   rank  takes  switches  waits  spins  wait_ns  p50_ns  p99_ns  mean_ns  max_ns
 *
 * `mean_ns` leaves out the longest thousandth, in which the system had taken the CPU away. What reading the clock twice
 * takes is subtracted from all of them: p50_ns of the line `empty`, whose mean_ns is what taking and dropping a free lock
 * costs the caller. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "thread/lock.h"

enum { LOCKS = 1 << 15, PARTS = 8, BUCKETS = 40 * PARTS, TRIES = 10001 };

static const char *const names[RANK_COUNT] = {
	[RANK_START] = "start",       [RANK_PURGE] = "purge",   [RANK_CTL] = "ctl",
	[RANK_THREADS] = "threads",   [RANK_ARENAS] = "arenas", [RANK_CPUS] = "cpus",
	[RANK_TRANSFER] = "transfer", [RANK_BIN] = "bin",       [RANK_PAGES] = "pages",
	[RANK_POOL] = "pool",         [RANK_MAP] = "map",       [RANK_SAMPLES] = "samples",
	[RANK_STACKS] = "stacks",     [RANK_BASE] = "base",
};

/* Of one lock. */
struct tally {
	_Atomic(struct lock *) lock;
	uint64_t most;               /* [lock] */
	uint32_t histogram[BUCKETS]; /* [lock] of ticks, PARTS buckets per doubling */
};

static struct tally tallies[LOCKS];
static uint64_t first_tick, first_ns; /* [const after the constructor] */

/* Since when the thread holds a lock of the rank. */
static _Thread_local __attribute__((tls_model("initial-exec"))) uint64_t since[RANK_COUNT];

void __real_lock_take(struct lock *lock);
bool __real_lock_try(struct lock *lock);
void __real_lock_drop(struct lock *lock);
void __wrap_lock_take(struct lock *lock);
bool __wrap_lock_try(struct lock *lock);
void __wrap_lock_drop(struct lock *lock);

static uint64_t now_ns(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t tick(void) {
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	return now_ns();
#endif
}

static struct tally *tally_of(struct lock *lock) {
	uint64_t first = ((uintptr_t)lock >> 3) * 0x9e3779b97f4a7c15u >> 32;
	for (uint64_t i = 0; i < LOCKS; i++) {
		struct tally *tally = &tallies[(first + i) % LOCKS];
		struct lock *there = load_acquire(&tally->lock);
		if (there == lock ||
		    (there == NULL && (cas_acq_rel(&tally->lock, &there, lock) || there == lock)))
			return tally;
	}
	dprintf(STDERR_FILENO, "bench: more than %d locks\n", LOCKS);
	abort();
}

static unsigned bucket_of(uint64_t ticks) {
	if (ticks < PARTS)
		return (unsigned)ticks;
	unsigned lg = 63 - (unsigned)__builtin_clzll(ticks);
	unsigned bucket = (lg - 2) * PARTS + (unsigned)(ticks >> (lg - 3)) % PARTS;
	return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

/* The middle of a bucket. */
static double ticks_of(unsigned bucket) {
	if (bucket < PARTS)
		return bucket;
	unsigned lg = bucket / PARTS + 2;
	return (double)((uint64_t)1 << lg) * (1 + (bucket % PARTS + 0.5) / PARTS);
}

void __wrap_lock_take(struct lock *lock) {
	__real_lock_take(lock);
	since[lock->rank] = tick();
}

bool __wrap_lock_try(struct lock *lock) {
	bool taken = __real_lock_try(lock);
	if (taken)
		since[lock->rank] = tick();
	return taken;
}

void __wrap_lock_drop(struct lock *lock) {
	uint64_t held = tick() - since[lock->rank];
	struct tally *tally = tally_of(lock);
	tally->histogram[bucket_of(held)]++;
	if (held > tally->most)
		tally->most = held;
	__real_lock_drop(lock);
}

/* -- at the end ------------------------------------------------------------------------------------------------ */

static uint64_t count_all(const struct tally *tally) {
	uint64_t sum = 0;
	for (unsigned b = 0; b < BUCKETS; b++)
		sum += tally->histogram[b];
	return sum;
}

static double quantile(const struct tally *tally, double part) {
	uint64_t rest = (uint64_t)((double)count_all(tally) * part);
	for (unsigned b = 0; b < BUCKETS; b++) {
		if (rest < tally->histogram[b])
			return ticks_of(b);
		rest -= tally->histogram[b];
	}
	return (double)tally->most;
}

static double mean_but(const struct tally *tally, double part) {
	uint64_t all = count_all(tally), most = all - (uint64_t)((double)all * part), seen = 0;
	double sum = 0;
	for (unsigned b = 0; b < BUCKETS && seen < most; b++) {
		uint64_t here = tally->histogram[b] < most - seen ? tally->histogram[b] : most - seen;
		sum += ticks_of(b) * (double)here;
		seen += here;
	}
	return seen == 0 ? 0 : sum / (double)seen;
}

static double less(double ticks, double empty, double ns_per_tick) {
	return ticks > empty ? (ticks - empty) * ns_per_tick : 0;
}

static double measure_empty(void) {
	static struct lock lock = LOCK_INITIALIZER(RANK_START);
	for (int i = 0; i < TRIES; i++) {
		__wrap_lock_take(&lock);
		__wrap_lock_drop(&lock);
	}
	struct tally *tally = tally_of(&lock);
	return quantile(tally, 0.5);
}

static double measure_pair(void) {
	static struct lock lock = LOCK_INITIALIZER(RANK_BASE);
	uint64_t start = now_ns();
	for (int i = 0; i < TRIES; i++) {
		__real_lock_take(&lock);
		__real_lock_drop(&lock);
	}
	return (double)(now_ns() - start) / TRIES;
}

__attribute__((constructor)) static void begin(void) {
	first_tick = tick();
	first_ns = now_ns();
}

__attribute__((destructor)) static void report(void) {
	const char *name = getenv("LOCK_TIMES");
	int file = name == NULL ? -1 : open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (file < 0)
		return;
	double scale = (double)(now_ns() - first_ns) / (double)(tick() - first_tick), empty = measure_empty();
	dprintf(file, "rank\ttakes\tswitches\twaits\tspins\twait_ns\tp50_ns\tp99_ns\tmean_ns\tmax_ns\n");
	dprintf(file, "empty\t%d\t0\t0\t0\t0\t%.0f\t0\t%.1f\t0\n", TRIES, empty * scale, measure_pair());
	for (unsigned i = 0; i < LOCKS; i++) {
		const struct tally *tally = &tallies[i];
		const struct lock *lock = load_relaxed(&tally->lock);
		if (lock == NULL || lock->rank == RANK_START)
			continue;
		struct lock_counts counts = lock_read_counts(lock);
		dprintf(file, "%s\t%lu\t%lu\t%lu\t%lu\t%lu\t%.0f\t%.0f\t%.1f\t%.0f\n", names[lock->rank],
		        (unsigned long)count_all(tally), (unsigned long)counts.switches,
		        (unsigned long)counts.waits, (unsigned long)counts.spins,
		        (unsigned long)counts.total_ns, less(quantile(tally, 0.5), empty, scale),
		        less(quantile(tally, 0.99), empty, scale), less(mean_but(tally, 0.001), empty, scale),
		        less((double)tally->most, empty, scale));
	}
	close(file);
}
