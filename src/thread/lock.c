/* lock.c - futex locks with ranks and a registry. */
#include "os/os.h"
#include "ctl/ctl.h"
#include "thread/lock.h"

#define SPIN_STEP 6 /* one look takes as long as so many of those that mutex_max_spin counts */

enum { UNREGISTERED, REGISTERED, HELD_BY_ALL };

static _Atomic(struct lock *) registry[RANK_COUNT]; /* [closed] push only; read without */
static _Atomic(uint32_t) closed;  /* 1: somebody changes the registry, or fork holds all locks */
static _Atomic(uint32_t) forking; /* 1: somebody is between lock_take_all and its end */
static _Atomic(uintptr_t) forker; /* thread pointer of who holds all locks for fork, or 0 */

#if ASHLAR_DEBUG >= 1
static _Thread_local uint32_t held; /* bit per rank: what this thread holds */
static _Thread_local bool holding_all;
#endif

static void rank_check(const struct lock *lock) {
#if ASHLAR_DEBUG >= 1
	must(holding_all || held >> lock->rank == 0, lock);
#endif
	(void)lock;
}

static void rank_note(const struct lock *lock, bool taken) {
#if ASHLAR_DEBUG >= 1
	if (!holding_all)
		held = taken ? held | (uint32_t)1 << lock->rank : held & ~((uint32_t)1 << lock->rank);
#endif
	(void)lock;
	(void)taken;
}

bool lock_none_held(void) {
#if ASHLAR_DEBUG >= 1
	return held == 0 || holding_all;
#else
	return true;
#endif
}

/* The words `closed` and `forking` are no locks, so that they need no place in the registry: waited for by time. */
static void word_take(_Atomic(uint32_t) *word) {
	while (swap_acq_rel(word, 1) != 0)
		os_wait(word, 1, 1000000);
}

static void word_drop(_Atomic(uint32_t) *word) {
	store_release(word, 0);
}

/* Between the handlers of fork the forking thread passes through all locks: other libraries' handlers allocate. */
static bool is_forker(void) {
	return unlikely(load_relaxed(&forker) == tls_pointer());
}

static bool passes(const struct lock *lock) {
	return unlikely(load_relaxed(&lock->registered) == HELD_BY_ALL) && is_forker();
}

STARTUP static COLD void enter_registry(struct lock *lock) {
	bool holds = is_forker();
	if (!holds)
		word_take(&closed);
	if (load_relaxed(&lock->registered) == UNREGISTERED) {
		lock->next = load_relaxed(&registry[lock->rank]);
		store_release(&registry[lock->rank], lock);
		store_release(&lock->registered, REGISTERED);
	}
	if (!holds)
		word_drop(&closed);
}

STARTUP void lock_init(struct lock *lock, enum lock_rank rank) {
	*lock = (struct lock){.rank = (uint16_t)rank};
	enter_registry(lock);
}

static bool try_state(struct lock *lock) {
	uint32_t expected = 0;
	return load_relaxed(&lock->state) == 0 &&
	       atomic_compare_exchange_strong_explicit(&lock->state, &expected, 1, memory_order_acquire,
	                                               memory_order_relaxed);
}

/* The calling thread has just taken the lock. */
static void count_take(struct lock *lock) {
	uintptr_t self = tls_pointer();
	lock->ops++;
	if (lock->owner != self) {
		lock->owner = self;
		lock->switches++;
	}
}

static void wait_for(struct lock *lock) {
	uint64_t start = os_now();
	uint32_t waiting = add_relaxed(&lock->waiting, 1) + 1;
	while (atomic_exchange_explicit(&lock->state, 2, memory_order_acquire) != 0)
		os_wait(&lock->state, 2, 0);
	sub_relaxed(&lock->waiting, 1);
	uint64_t waited = os_now() - start;
	lock->waits++;
	lock->total_ns += waited;
	if (waited > lock->max_ns)
		lock->max_ns = waited;
	if (waiting > lock->most_waiting)
		lock->most_waiting = waiting;
}

static NOINLINE void take_contended(struct lock *lock) {
	if (passes(lock))
		return;
	int64_t limit = opt_now(mutex_max_spin);
	for (int64_t i = 0; i < limit || limit < 0; i += SPIN_STEP) {
		if (try_state(lock)) {
			lock->spins++;
			return;
		}
		cpu_relax();
	}
	wait_for(lock);
}

STARTUP void lock_take(struct lock *lock) NO_LOCK_ANALYSIS {
	rank_check(lock);
	if (unlikely(load_acquire(&lock->registered) == UNREGISTERED))
		enter_registry(lock);
	if (unlikely(!try_state(lock)))
		take_contended(lock);
	count_take(lock);
	rank_note(lock, true);
}

bool lock_try(struct lock *lock) NO_LOCK_ANALYSIS {
	rank_check(lock);
	if (unlikely(load_acquire(&lock->registered) == UNREGISTERED))
		enter_registry(lock);
	if (!try_state(lock) && !passes(lock))
		return false;
	count_take(lock);
	rank_note(lock, true);
	return true;
}

STARTUP void lock_drop(struct lock *lock) NO_LOCK_ANALYSIS {
	rank_note(lock, false);
	if (passes(lock))
		return;
	if (unlikely(atomic_exchange_explicit(&lock->state, 0, memory_order_release) == 2))
		os_wake(&lock->state, 1);
}

/* Who waits is asleep, and comes too late where the lock is taken again at once. */
void lock_pass(struct lock *lock) NO_LOCK_ANALYSIS {
	static const uint64_t moment = 50000; /* ns: to wake up and take it */
	_Atomic(uint32_t) never = 0;
	bool wanted = load_relaxed(&lock->waiting) != 0;
	lock_drop(lock);
	if (wanted)
		os_wait(&never, 0, moment);
	lock_take(lock);
}

#define EACH_LOCK(rank, lock) \
	for (int rank = 0; rank < RANK_COUNT; rank++) \
		for (struct lock *lock = load_acquire(&registry[rank]); lock != NULL; lock = lock->next)

/* -- counts -------------------------------------------------------------------------------------------------------- */

RACY struct lock_counts lock_read_counts(const struct lock *lock) {
	return (struct lock_counts){
		.ops = lock->ops,
		.waits = lock->waits,
		.spins = lock->spins,
		.switches = lock->switches,
		.total_ns = lock->total_ns,
		.max_ns = lock->max_ns,
		.most_waiting = lock->most_waiting,
	};
}

void lock_add_counts(struct lock_counts *sum, const struct lock_counts *one) {
	sum->ops += one->ops;
	sum->waits += one->waits;
	sum->spins += one->spins;
	sum->switches += one->switches;
	sum->total_ns += one->total_ns;
	sum->max_ns = one->max_ns > sum->max_ns ? one->max_ns : sum->max_ns;
	sum->most_waiting = one->most_waiting > sum->most_waiting ? one->most_waiting : sum->most_waiting;
}

struct lock_counts lock_read_rank(enum lock_rank rank) {
	struct lock *lock = load_acquire(&registry[rank]);
	struct lock_counts none = {0};
	return lock == NULL ? none : lock_read_counts(lock);
}

void lock_reset_counts(void) {
	EACH_LOCK (rank, lock) {
		lock_take(lock);
		lock->ops = lock->switches = lock->waits = lock->spins = 0;
		lock->total_ns = lock->max_ns = 0;
		lock->most_waiting = 0;
		lock_drop(lock);
	}
}

/* -- fork ---------------------------------------------------------------------------------------------------------- */

static void take_registered(void) NO_LOCK_ANALYSIS {
	EACH_LOCK (rank, lock) {
		lock_take(lock);
		store_relaxed(&lock->registered, HELD_BY_ALL);
	}
}

static void drop_held(void) NO_LOCK_ANALYSIS {
	EACH_LOCK (rank, lock) {
		if (load_relaxed(&lock->registered) != HELD_BY_ALL)
			continue;
		store_relaxed(&lock->registered, REGISTERED);
		lock_drop(lock);
	}
}

static bool holds_all_registered(void) {
	EACH_LOCK (rank, lock)
		if (load_relaxed(&lock->registered) != HELD_BY_ALL)
			return false;
	return true;
}

void lock_take_all(void) {
#if ASHLAR_DEBUG >= 1
	holding_all = true;
#endif
	word_take(&forking);
	for (;;) {
		take_registered();
		word_take(&closed);
		if (holds_all_registered()) {
			store_relaxed(&forker, tls_pointer());
			return;
		}
		/* One came in behind us. Its holder may wait for a lock of ours, so let go of them before trying again. */
		word_drop(&closed);
		drop_held();
	}
}

void lock_drop_all(void) {
	store_relaxed(&forker, 0);
	word_drop(&closed);
	drop_held();
	word_drop(&forking);
#if ASHLAR_DEBUG >= 1
	holding_all = false;
#endif
}

void lock_reset_all(void) {
	store_relaxed(&forker, 0);
	EACH_LOCK (rank, lock) {
		store_relaxed(&lock->registered, REGISTERED);
		store_relaxed(&lock->state, 0);
		store_relaxed(&lock->waiting, 0);
	}
	word_drop(&closed);
	word_drop(&forking);
#if ASHLAR_DEBUG >= 1
	holding_all = false;
	held = 0;
#endif
}
