/* lock.h - locks, their ranks, and the registry that fork walks.
 *
 *   state   0 free, 1 taken, 2 taken and somebody may be waiting
 *
 *     take: 0 -> 1 (uncontended)       spin a while, then swap in 2 and sleep on the word until it was 0
 *     drop: -> 0, and wake one if it was 2
 *
 *   The lock counts for itself who took it, how often one had to wait, and how long: under the lock, so plainly. Its first
 * 40 bytes are all that an uncontended take touches.
 *
 * Ranks: a thread takes locks only in rising rank order (checked in debug builds); two of one rank never together,
 * except by fork, which takes all of them in registry order.
 *
 *   START -> PURGE -> CTL -> THREADS -> ARENAS -> CPUS -> TRANSFER -> BIN -> PAGES -> POOL -> MAP -> SAMPLES -> STACKS -> BASE
 *
 * A static lock enters the registry when it is first taken, a dynamic one in lock_init: a lock that was never
 * taken needs no care at fork. While fork holds all locks, nobody enters the registry, so that none is held by others
 * then. Clang's -Wthread-safety checks the guarded functions. */
#ifndef ASHLAR_THREAD_LOCK_H
#define ASHLAR_THREAD_LOCK_H

#include "util/util.h"

#if defined(__clang__)
#define THREAD_ANNOTATION(x) __attribute__((x))
#else
#define THREAD_ANNOTATION(x)
#endif
#define CAPABILITY(name)  THREAD_ANNOTATION(capability(name))
#define REQUIRES(...)     THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define ACQUIRES(...)     THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define RELEASES(...)     THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define TRY_ACQUIRES(...) THREAD_ANNOTATION(try_acquire_capability(__VA_ARGS__))
#define NO_LOCK_ANALYSIS  THREAD_ANNOTATION(no_thread_safety_analysis)

enum lock_rank {
	RANK_START,    /* thread/start.c: the one initialisation */
	RANK_PURGE,    /* thread/tick.c: one thread at a time purges */
	RANK_CTL,      /* ctl/: one thread at a time refreshes the figures, or makes the tables of names */
	RANK_THREADS,  /* thread/thread.c: list of thread caches */
	RANK_ARENAS,   /* arena/registry.c: table of arenas, assignment of threads */
	RANK_CPUS,     /* cache/percpu.c: opening and closing stacks of CPUs */
	RANK_TRANSFER, /* cache/transfer.c: one class's blocks in transit between threads */
	RANK_BIN,      /* arena/slab.c: one size class of one arena */
	RANK_PAGES,    /* page/pages.c: chunks of one arena */
	RANK_POOL,     /* page/pool.c: whole free chunks of the process, or of one arena */
	RANK_MAP,      /* meta/map.c: making leaves */
	RANK_SAMPLES,  /* prof/record.c: sampled blocks of some pages */
	RANK_STACKS,   /* prof/count.c: what was sampled where, and by which thread */
	RANK_BASE,     /* meta/base.c */
	RANK_COUNT
};

struct CAPABILITY("lock") lock {
	_Atomic(uint32_t) state; /* [atomic] */
	uint16_t rank;           /* [const] */
	_Atomic(uint16_t)
		registered;        /* [atomic] 0 until linked into the registry; 2: held by lock_take_all */
	struct lock *next;         /* in the registry's list of this rank  [const after registration] */
	uint64_t ops, switches;    /* times taken, and by another thread than before       [itself] */
	uintptr_t owner;           /* thread pointer of who took it last                   [itself] */
	uint64_t waits, spins;     /* taken after sleeping / after spinning only           [itself] */
	uint64_t total_ns, max_ns; /* of sleeping for it                               [itself] */
	uint32_t most_waiting;     /* threads that slept at the same time              [itself] */
	_Atomic(uint32_t) waiting; /* threads that sleep now                           [atomic] */
};

_Static_assert(offsetof(struct lock, waits) <= 40, "see above");

/* A lock that many threads take begins a line, so that taking it fetches one: _Alignas(CACHE_LINE). */
#define LOCK_INITIALIZER(r) \
	{ .rank = (r) }

void lock_init(struct lock *lock, enum lock_rank rank);
void lock_take(struct lock *lock) ACQUIRES(lock);
bool lock_try(struct lock *lock) TRY_ACQUIRES(true, lock);
void lock_drop(struct lock *lock) RELEASES(lock);
/* Drops it and takes it again, after one who waits, if anybody does. */
void lock_pass(struct lock *lock) REQUIRES(lock);

/* What a lock counted. */
struct lock_counts {
	uint64_t ops, waits, spins, switches;
	uint64_t total_ns, max_ns; /* of waiting */
	uint64_t most_waiting;     /* threads at the same time */
};
/* Without taking it: its holder may be the caller, or wait for the caller. Exact where nobody works with it. */
struct lock_counts lock_read_counts(const struct lock *lock);
/* Sums; of the last two the larger one. */
void lock_add_counts(struct lock_counts *sum, const struct lock_counts *one);
/* The same of the one lock of a rank; all zero: it was never taken yet. */
struct lock_counts lock_read_rank(enum lock_rank rank);
/* Zeroes the counts of every registered lock, taking one after the other: the caller holds none. */
void lock_reset_counts(void);

/* For fork: takes all registered locks in rank order / drops them in the parent / makes them free in the child,
 * where their owners may not exist any more. */
void lock_take_all(void);
void lock_drop_all(void);
void lock_reset_all(void);

/* Debug builds: the calling thread holds no lock. Always true in release builds. */
bool lock_none_held(void);

#endif
