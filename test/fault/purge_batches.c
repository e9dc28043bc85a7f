/*
 * process_madvise is refused, does a part, or works: memory goes back all the same, and quietly. Who asked for batches by
 * the option gets them also under a filter of system calls.
 */
// ctest: MALLOC_CONF=process_madvise_max_batch:32,dirty_decay_ms:-1
#define _GNU_SOURCE
#include "../harness.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

int SUT(mallctl)(const char *name, void *old, size_t *old_size, void *value, size_t size);

enum mode { WORKS, PART, REFUSED };
static _Atomic(int) mode;
static atomic_long batches, singles, most;

int madvise(void *address, size_t length, int advice) {
	if (advice == MADV_DONTNEED)
		atomic_fetch_add(&singles, 1);
	return (int)syscall(SYS_madvise, address, length, advice);
}

/* On any kernel: what the call is to do is done by others. */
ssize_t process_madvise(int process, const struct iovec *ranges, size_t count, int advice, unsigned flags) {
	CHECK(process < 0 && flags == 0 && count > 0);
	atomic_fetch_add(&batches, 1);
	if ((long)count > atomic_load(&most))
		atomic_store(&most, (long)count);
	if (mode == REFUSED) {
		errno = EPERM;
		return -1;
	}
	ssize_t done = 0;
	for (size_t i = 0; i < count; i++) {
		if (mode == PART && i == 3)
			break;
		if (syscall(SYS_madvise, ranges[i].iov_base, ranges[i].iov_len, advice) != 0)
			return done > 0 ? done : -1;
		done += (ssize_t)ranges[i].iov_len;
	}
	return done;
}

enum { BLOCKS = 600, SIZE = 40000 };
static char *block[BLOCKS];

static size_t figure(const char *name) {
	uint64_t epoch = 1;
	size_t value = 0, size = sizeof value;
	CHECK(SUT(mallctl)("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
	CHECK(mallctl(name, &value, &size, NULL, 0) == 0);
	return value;
}

/* Every second block goes, and is purged: its pages are not resident, the others are what they were. */
static void round_of(enum mode how) {
	atomic_store(&mode, how);
	for (int i = 0; i < BLOCKS; i++) {
		block[i] = malloc(SIZE);
		CHECK(block[i] != NULL);
		memset(block[i], i % 100 + 1, SIZE);
	}
	for (int i = 0; i < BLOCKS; i += 2)
		free(block[i]);
	errno = 4711;
	CHECK(SUT(mallctl)("arena.4096.purge", NULL, NULL, NULL, 0) == 0);
	CHECK(errno == 4711);
	CHECK(figure("stats.arenas.0.pdirty") == 0);
	for (int i = 0; i < BLOCKS; i += 2) {
		unsigned char resident = 1;
		void *page = (void *)(((uintptr_t)block[i] + 4096) & ~(uintptr_t)4095);
		if (mincore(page, 4096, &resident) == 0)
			CHECK((resident & 1) == 0);
	}
	for (int i = 1; i < BLOCKS; i += 2) {
		for (int k = 0; k < SIZE; k += 1000)
			CHECK(block[i][k] == i % 100 + 1);
		free(block[i]);
	}
}

int main(void) {
	round_of(WORKS);
	CHECK(batches > 0 && most <= 32);
	long before = batches;
	round_of(PART);
	CHECK(batches > before + 20);
	before = batches;
	round_of(REFUSED);
	CHECK(batches == before + 1 && singles > BLOCKS / 4); /* it is not asked again */
	round_of(REFUSED);
	CHECK(batches == before + 1);
	return 0;
}
