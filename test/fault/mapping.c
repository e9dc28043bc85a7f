/*
 * Every mapping call of the library fails, one after the other.
 *
 * This program defines mmap, munmap, mremap, madvise, mprotect and process_madvise, so the library calls these.
 * For k = 1, 2, 3... it starts itself anew with the order to fail the k-th call, from the first instruction of
 * the process on, until a run gets by without reaching its k-th call.  Then again with every call from the k-th
 * on refused, with every j-th refused for many rounds, with one in three at random, with every madvise refused in
 * other words than for lack of memory, and with a kernel that accounts strictly.  The workload may see NULL with
 * ENOMEM and nothing else; what it holds stays intact; and once calls succeed again, so must the heap, with nothing
 * lost to it.
 */
// ctest-timeout: 300
#define _GNU_SOURCE
#include "../harness.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

enum mode { FAIL_ONE, FAIL_FROM, FAIL_EVERY, FAIL_RANDOM, FAIL_ADVICE, STRICT };
/* With immediate purging a short run makes all the calls a long one would. */
#define CONF "dirty_decay_ms:0,san_guard_large:3,san_guard_small:5"

int SUT(mallctl)(const char *name, void *old, size_t *old_size, void *new_value, size_t new_size);

enum { MOST_CALLS = 5000, MOST_BROKEN = 10, HANG = 60, RAN_OUT = 40, FAILED_SOME = 41, ROUNDS = 30 };

static atomic_long calls, failures;
static atomic_bool healed;
static atomic_llong mapped;

/* The order for this process, from the environment; read directly, long before any constructor. */
static long order(const char *name) {
	const char *text = getenv(name);
	return text != NULL ? strtol(text, NULL, 10) : 0;
}

/* Is this call, the call-th and advice or not, one of those that the order is about? */
static bool is_meant(enum mode mode, long k, long call, bool advice) {
	uint64_t random = (uint64_t)k * 1000003 + (uint64_t)call;
	switch (mode) {
	case FAIL_ONE:
		return call == k;
	case FAIL_FROM:
		return call >= k;
	case FAIL_EVERY:
		return call % k == 0;
	case FAIL_RANDOM:
		return test_below(&random, 3) == 0;
	case FAIL_ADVICE:
		return advice;
	default:
		return false;
	}
}

static bool refuse_call(bool advice) {
	if (atomic_load(&healed) || environ == NULL)
		return false;
	long k = order("TEST_FAULT_AT"), call = atomic_fetch_add(&calls, 1) + 1;
	enum mode mode = (enum mode)order("TEST_FAULT_MODE");
	bool now = k != 0 && is_meant(mode, k, call, advice);
	if (now)
		atomic_fetch_add(&failures, 1);
	if (now)
		errno = mode != FAIL_ADVICE ? ENOMEM : k == 1 ? EINVAL : EPERM;
	return now;
}

/* Counts a call and says whether to refuse it. */
static bool refuse(void) {
	return refuse_call(false);
}

/* In a system that accounts strictly every writable private page counts, whatever MAP_NORESERVE says, and to replace a
 * mapping unmaps the old one before the new one is refused: nobody who cannot lose it may do that. */
static bool is_strict(void) {
	return environ != NULL && order("TEST_FAULT_MODE") == STRICT;
}

static bool exceeds_account(size_t length) {
	if (!is_strict() || atomic_load(&healed) ||
	    atomic_load(&mapped) + (long long)length <= (long long)order("TEST_FAULT_AT") << 20)
		return false;
	atomic_fetch_add(&failures, 1);
	errno = ENOMEM;
	return true;
}

void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset) {
	if (refuse() || ((protection & PROT_WRITE) != 0 && exceeds_account(length)))
		return MAP_FAILED;
	CHECK((flags & MAP_FIXED) == 0 || file >= 0 || !is_strict());
	long result = syscall(SYS_mmap, address, length, protection, flags, file, offset);
	if (result != -1 && (flags & MAP_FIXED) == 0)
		atomic_fetch_add(&mapped, (long long)length);
	return (void *)result;
}

void *mmap64(void *address, size_t length, int protection, int flags, int file, off_t offset) {
	return mmap(address, length, protection, flags, file, offset);
}

int munmap(void *address, size_t length) {
	if (refuse())
		return -1;
	long result = syscall(SYS_munmap, address, length);
	if (result == 0)
		atomic_fetch_sub(&mapped, (long long)length);
	return (int)result;
}

void *mremap(void *address, size_t old_length, size_t new_length, int flags, ...) {
	va_list rest;
	va_start(rest, flags);
	void *target = (flags & MREMAP_FIXED) != 0 ? va_arg(rest, void *) : NULL;
	va_end(rest);
	if (refuse())
		return MAP_FAILED;
	CHECK((flags & MREMAP_FIXED) == 0 || !is_strict());
	long result = syscall(SYS_mremap, address, old_length, new_length, flags, target);
	/* A fixed target was mapped and counted before; the old range goes unless it is to stay. */
	long long gain = (flags & MREMAP_FIXED) != 0 ? 0 : (long long)new_length;
	long long loss = (flags & MREMAP_DONTUNMAP) != 0 ? 0 : (long long)old_length;
	if (result != -1)
		atomic_fetch_add(&mapped, gain - loss);
	return (void *)result;
}

int madvise(void *address, size_t length, int advice) {
	return refuse_call(true) ? -1 : (int)syscall(SYS_madvise, address, length, advice);
}

int mprotect(void *address, size_t length, int protection) {
	return refuse() ? -1 : (int)syscall(SYS_mprotect, address, length, protection);
}

ssize_t process_madvise(int process, const struct iovec *ranges, size_t count, int advice, unsigned flags) {
	return refuse_call(true)
	               ? -1
	               : (ssize_t)syscall(SYS_process_madvise, process, ranges, count, advice, flags);
}

/* The library reads /proc by bare system calls. With strict accounting the one file about that says so. */
long syscall(long number, ...) {
	static long (*real)(long, ...);
	long value[6];
	va_list rest;
	va_start(rest, number);
	for (size_t i = 0; i < 6; i++)
		value[i] = va_arg(rest, long);
	va_end(rest);
	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "syscall");
	if (number == SYS_openat && is_strict() &&
	    strcmp((const char *)value[1], "/proc/sys/vm/overcommit_memory") == 0) {
		int ends[2];
		CHECK(pipe(ends) == 0 && write(ends[1], "2\n", 2) == 2 && close(ends[1]) == 0);
		return ends[0];
	}
	return real(number, value[0], value[1], value[2], value[3], value[4], value[5]);
}

/* ---- the workload: one of everything, each result NULL with ENOMEM or right ---- */

enum { HELD = 160, EDGE = 200 };

static void *held[HELD];
static size_t held_size[HELD];

/* Marks the start, the middle and the end; touching every page would make thousands of runs slow. */
static void stamp(void *block, size_t size, uint64_t tag) {
	size_t edge = size < EDGE ? size : EDGE;
	test_fill(block, edge, tag);
	test_fill((char *)block + size / 2, size / 2 < EDGE ? size / 2 : EDGE, tag + 1);
	test_fill((char *)block + size - edge, edge, tag + 2);
}

/* True when the marks of a block of `size` within its first `check` bytes are intact. */
static bool stamped(const void *block, size_t size, size_t check, uint64_t tag) {
	const char *bytes = block;
	size_t edge = size < EDGE ? size : EDGE, middle = size / 2 < EDGE ? size / 2 : EDGE;
	if (check >= size)
		return test_holds(bytes + size - edge, edge, edge, tag + 2) &&
		       (size <= 4 * EDGE || (test_holds(bytes, edge, edge, tag) &&
		                             test_holds(bytes + size / 2, middle, middle, tag + 1)));
	return size <= 4 * EDGE || test_holds(bytes, edge, check < edge ? check : edge, tag);
}

/* A result is either a block of the size, or NULL with ENOMEM while calls are being refused. */
static bool accept(const void *ptr, size_t size) {
	if (ptr == NULL) {
		CHECK(errno == ENOMEM);
		CHECK(!atomic_load(&healed) && atomic_load(&failures) > 0);
		return false;
	}
	CHECK(malloc_usable_size((void *)(uintptr_t)ptr) >= size);
	return true;
}

static void hold(size_t at, void *ptr, size_t size) {
	if (!accept(ptr, size))
		return;
	held[at] = ptr;
	held_size[at] = size;
	stamp(ptr, size, at);
}

static void let_go(size_t at) {
	CHECK(held[at] == NULL || stamped(held[at], held_size[at], held_size[at], at));
	free(held[at]);
	held[at] = NULL;
}

static void resize(size_t at, size_t size) {
	if (held[at] == NULL)
		return;
	size_t old = held_size[at];
	errno = 0;
	void *moved = realloc(held[at], size);
	if (!accept(moved, size)) {
		CHECK(stamped(held[at], old, old, at));
		return;
	}
	CHECK(stamped(moved, old, old < size ? old : size, at));
	held[at] = moved;
	held_size[at] = size;
	stamp(moved, size, at);
}

static void use_heap(size_t first, size_t count) {
	static const size_t sizes[] = {24,    200,    1500,    5000,     14000,   20000,
	                               70000, 400000, 1500000, 3u << 20, 5u << 20};
	size_t kinds = sizeof sizes / sizeof sizes[0];
	for (size_t i = first; i < first + count; i++) {
		size_t size = sizes[i % kinds];
		errno = 0;
		if (i % 3 == 0) {
			unsigned char *zeros = calloc(1, size);
			if (zeros != NULL)
				CHECK(zeros[0] == 0 && zeros[size / 2] == 0 && zeros[size - 1] == 0);
			hold(i, zeros, size);
		} else if (i % 7 == 0) {
			void *ptr = aligned_alloc((size_t)64 << i % 16, size);
			CHECK(ptr == NULL || test_aligned(ptr, (size_t)64 << i % 16));
			hold(i, ptr, size);
		} else {
			hold(i, malloc(size), size);
		}
	}
	for (size_t i = first; i < first + count; i++)
		resize(i, sizes[(i * 5 + 3) % kinds] + i);
	for (size_t i = first; i < first + count; i++)
		if (i % 2 == 0)
			let_go(i);
	for (size_t i = first; i < first + count; i++)
		resize(i, i % 4 == 1 ? held_size[i] * 2 + 1 : 100);
	for (size_t i = first; i < first + count; i++)
		let_go(i);
}

static void *thread_life(void *argument) {
	use_heap((size_t)(uintptr_t)argument, HELD / 4);
	return NULL;
}

static void workload(void) {
	use_heap(0, HELD / 2);
	pthread_t threads[2];
	bool started[2];
	for (size_t i = 0; i < 2; i++)
		started[i] = pthread_create(&threads[i], NULL, thread_life,
		                            (void *)(uintptr_t)(HELD / 2 + i * (HELD / 4))) == 0;
	for (size_t i = 0; i < 2; i++)
		if (started[i])
			CHECK(pthread_join(threads[i], NULL) == 0);
		else
			CHECK(!atomic_load(&healed));
	SUT(malloc_trim)(0);
}

/* ---- the runs ---- */

/* Bytes in blocks that the program holds, with all caches empty. */
static size_t live_bytes(void) {
	uint64_t epoch = 1;
	size_t live = 0, size = sizeof live;
	CHECK(SUT(mallctl)("arena.4096.purge", NULL, NULL, NULL, 0) == 0);
	CHECK(SUT(mallctl)("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
	CHECK(SUT(mallctl)("stats.ashlar.live", &live, &size, NULL, 0) == 0);
	return live;
}

static int one_run(enum mode mode) {
	workload();
	if (mode == FAIL_EVERY || mode == FAIL_RANDOM) {
		long long settled = 0;
		for (int round = 0; round < ROUNDS; round++) {
			workload();
			if (round == ROUNDS / 3)
				settled = atomic_load(&mapped);
		}
		/* Refused calls may cost a retry but must not lose address space each time. */
		CHECK(atomic_load(&mapped) <= settled + settled / 2 + (64 << 20));
	}
	bool refused = atomic_load(&failures) > 0;
	atomic_store(&healed, true);
	workload();
	/* What is left is the C library's. */
	CHECK(live_bytes() < (size_t)256 << 10);
	return refused ? FAILED_SOME : RAN_OUT;
}

static int broken; /* runs that ended in another way than the two expected ones */

/* True when the run reached its order. One that broke counts, but others are still tried: up to MOST_BROKEN. */
static bool start_run(enum mode mode, long k) {
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		char at[32], how[32];
		snprintf(at, sizeof at, "%ld", k);
		snprintf(how, sizeof how, "%d", (int)mode);
		alarm(HANG);
		setenv("TEST_FAULT_AT", at, 1);
		setenv("TEST_FAULT_MODE", how, 1);
		setenv("MALLOC_CONF", CONF, 1);
		execl("/proc/self/exe", "mapping", (char *)NULL);
		_exit(99);
	}
	int status = 0;
	CHECK(waitpid(child, &status, 0) == child);
	if (!WIFEXITED(status) || (WEXITSTATUS(status) != RAN_OUT && WEXITSTATUS(status) != FAILED_SOME)) {
		fprintf(stderr,
		        "mode %d, call %ld: status 0x%x; repeat with TEST_FAULT_MODE=%d TEST_FAULT_AT=%ld "
		        "MALLOC_CONF=" CONF "\n",
		        (int)mode, k, (unsigned)status, (int)mode, k);
		CHECK(++broken < MOST_BROKEN);
		return k < MOST_CALLS;
	}
	return WEXITSTATUS(status) == FAILED_SOME;
}

/* Every call while there are few; then, not to take minutes, in growing steps. */
static long after(long k) {
	return k < 100 ? k + 1 : k + k / 12;
}

int main(void) {
	if (order("TEST_FAULT_AT") != 0)
		return one_run((enum mode)order("TEST_FAULT_MODE"));
	free(malloc(3u << 20));
	CHECK(atomic_load(&calls) > 0);
	long k = 1;
	while (start_run(FAIL_ONE, k))
		k = after(k);
	fprintf(stderr, "a run makes about %ld mapping calls\n", k - 1);
	CHECK(k > 3);
	CHECK(k < MOST_CALLS);
	for (k = 1; start_run(FAIL_FROM, k);)
		k = after(k);
	for (long every = 2; every <= 8; every += 3)
		CHECK(start_run(FAIL_EVERY, every));
	for (long seed = 1; seed <= 6; seed++)
		CHECK(start_run(FAIL_RANDOM, seed));
	for (long refusal = 1; refusal <= 2; refusal++)
		CHECK(start_run(FAIL_ADVICE, refusal));
	for (long mib = 16; mib <= 64; mib *= 2)
		CHECK(start_run(STRICT, mib));
	CHECK(broken == 0);
	return 0;
}
