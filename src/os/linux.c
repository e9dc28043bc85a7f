/* linux.c - ranges of memory, by libc's public functions only, so that a test can stand in for them.
 *
 * A rule of this file: a call that fails leaves every range it was given as it was. Where the kernel can
 * fail after it has already unmapped something, another thread may map into the hole before we can repair it;
 * so such failures are ruled out before the call, never repaired after it. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "util/util.h"
#include "os/os.h"
#include "os/file.h"

/* Values of the kernel's interface that older C library headers lack. */
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_FREE
#define MADV_FREE 8
#endif

/* As mmap, with the result and the error apart. */
static int map(void *at, size_t size, int flags, void **out) {
	int saved = errno;
	void *got = mmap(at, size, PROT_READ | PROT_WRITE,
	                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
	int error = 0;
	if (got == MAP_FAILED)
		error = errno;
	else
		*out = got;
	errno = saved;
	return error;
}

static int advise(void *addr, size_t size, int advice) {
	int saved = errno;
	int error = madvise(addr, size, advice) != 0 ? errno : 0;
	errno = saved;
	return error;
}

int os_unmap(void *addr, size_t size) {
	int saved = errno;
	int error = munmap(addr, size) != 0 ? errno : 0;
	errno = saved;
	return error;
}

/* Maps a page more than asked and cuts off both ends. Needed only where os.page_size is larger than the
 * kernel's own page, which then aligns less than the contract promises. */
static int map_aligned(size_t size, void **out) {
	void *got = NULL;
	if (size > SIZE_MAX - os.page_size)
		return ENOMEM;
	int error = map(NULL, size + os.page_size, 0, &got);
	if (error != 0)
		return error;
	size_t head = round_up((uintptr_t)got, os.page_size) - (uintptr_t)got;
	char *start = (char *)got + head;
	if (head != 0)
		(void)os_unmap(got, head);
	(void)os_unmap(start + size, os.page_size - head);
	*out = start;
	return 0;
}

STARTUP int os_map(void *hint, size_t size, void **out) {
	void *got = NULL;
	int error = map(hint, size, 0, &got);
	if (error != 0)
		return error;
	if (likely(((uintptr_t)got & (os.page_size - 1)) == 0)) {
		*out = got;
		return 0;
	}
	(void)os_unmap(got, size);
	return map_aligned(size, out);
}

int os_map_at(void *at, size_t size) {
	void *got = NULL;
	int error = map(at, size, MAP_FIXED_NOREPLACE, &got);
	if (error == 0 && got != at) {
		/* A kernel before 4.17 takes the unknown flag for a hint. */
		(void)os_unmap(got, size);
		error = EEXIST;
	}
	return error;
}

int os_purge(void *addr, size_t size) {
	int error = advise(addr, size, MADV_DONTNEED);
	if (unlikely(os.purge_lies) && error == 0)
		memset(addr, 0, size);
	return error;
}

STARTUP bool os_try_purge(void) {
	void *page = NULL;
	if (os_map(NULL, os.page_size, &page) != 0 || page == NULL)
		return true; /* short of memory just now: nothing is known */
	*(volatile char *)page = 1;
	os.purge_lies = advise(page, os.page_size, MADV_DONTNEED) == 0 && *(volatile char *)page != 0;
	(void)os_unmap(page, os.page_size);
	return !os.purge_lies;
}

size_t os_count_resident(const void *addr, size_t size) {
	int saved = errno;
	unsigned char page[1024];
	size_t pages = 0, step = sizeof page * os.page_size;
	for (size_t done = 0; done < size; done += step) {
		size_t part = size - done < step ? size - done : step;
		if (mincore((char *)(uintptr_t)addr + done, part, page) != 0) {
			pages = 0;
			break;
		}
		for (size_t i = 0; i < part / os.page_size; i++)
			pages += page[i] & 1;
	}
	errno = saved;
	return pages * os.page_size;
}

int os_purge_lazy(void *addr, size_t size) {
	return advise(addr, size, MADV_FREE);
}

/* -- several ranges in one call -------------------------------------------------------------------------------- */

/* The own process, to the kernel from 6.13 on, which takes every advice for it. */
#ifndef PIDFD_SELF_THREAD_GROUP
#define PIDFD_SELF_THREAD_GROUP (-10001)
#endif

/* Fewer ranges are not worth the look at the filter; more in one call gain nothing. */
#define BATCH_LEAST 16
#define BATCH_MOST  128

/* Older C libraries have no such function. */
__attribute__((weak)) ssize_t process_madvise(int process, const struct iovec *ranges, size_t count,
                                              int advice, unsigned flags);

_Static_assert(sizeof(struct os_range) == sizeof(struct iovec) &&
                       offsetof(struct os_range, size) == offsetof(struct iovec, iov_len),
               "struct os_range is passed as struct iovec");

static _Atomic(bool) no_batches; /* [atomic] the kernel has refused once */

/* Is a filter of system calls upon this thread? One may kill who makes a call it does not know. The file has some sixty
 * lines, "Seccomp:\t0" among them. */
static bool is_filtered(void) {
	static const char name[] = "\nSeccomp:";
	char text[4096];
	uint64_t mode = 1;
	const char *at = file_read("/proc/thread-self/status", text, sizeof text) ? strstr(text, name) : NULL;
	if (at == NULL)
		return true;
	at += sizeof name - 1;
	return !file_take_number(&at, &mode) || mode != 0;
}

/* How many ranges may go into one call, when there are `count`. */
static size_t batch_of(size_t count) {
	bool asked_for = os.purge_batch != 0;
	if (process_madvise == NULL || load_relaxed(&no_batches) || os.purge_lies)
		return 1;
	if (asked_for)
		return size_min(os.purge_batch, BATCH_MOST);
	return count < BATCH_LEAST || is_filtered() ? 1 : BATCH_MOST;
}

/* One call for all. Returns how many ranges are purged: none when the kernel does not do this. */
static size_t purge_batch(const struct os_range *ranges, size_t count, int advice) {
	int saved = errno;
	ssize_t bytes = process_madvise(PIDFD_SELF_THREAD_GROUP, (const struct iovec *)(const void *)ranges,
	                                count, advice, 0);
	if (bytes < 0 && errno != ENOMEM && errno != EAGAIN)
		store_relaxed(&no_batches, true);
	errno = saved;
	size_t done = 0;
	for (size_t left = bytes < 0 ? 0 : (size_t)bytes; done < count && ranges[done].size <= left; done++)
		left -= ranges[done].size;
	return done;
}

size_t os_purge_ranges(const struct os_range *ranges, size_t count, bool lazily, size_t *calls) {
	size_t done = 0;
	int advice = lazily ? MADV_FREE : MADV_DONTNEED;
	size_t batch = batch_of(count), now = batch > 1;
	for (; done < count && now != 0; done += now, *calls += 1)
		now = purge_batch(ranges + done, size_min(batch, count - done), advice);
	for (; done < count; done++, *calls += 1) {
		if (lazily && os_purge_lazy(ranges[done].addr, ranges[done].size) == 0)
			continue;
		if (os_purge(ranges[done].addr, ranges[done].size) != 0)
			break;
	}
	return done;
}

int os_refresh(void *addr, size_t size) {
	/* Where memory is accounted strictly, the kernel unmaps the old range before it finds that it must
	 * refuse the new one. */
	if (!os.overcommits)
		return os_purge(addr, size);
	void *got = NULL;
	return map(addr, size, MAP_FIXED, &got);
}

/* True when the kernel sees the range as one mapping, which is all mremap can move. Asks it to grow the
 * range in place by a page: EFAULT tells of several mappings, any other refusal of just one. */
static bool is_one_mapping(char *addr, size_t size) {
	if (size > SIZE_MAX - os.page_size)
		return false;
	int saved = errno;
	void *got = mremap(addr, size, size + os.page_size, 0);
	bool one = got != MAP_FAILED || errno == ENOMEM;
	errno = saved;
	if (got != MAP_FAILED)
		(void)os_unmap(addr + size, os.page_size);
	return one;
}

static int move_pages(void *to, void *from, size_t size) {
	int saved = errno;
	void *got = mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to);
	int error = got == MAP_FAILED ? errno : 0;
	errno = saved;
	return error;
}

/* True when a page that was written reads as zero once it is purged. */
static bool is_purgeable(char *page) {
	*(volatile char *)page = 1;
	return os_purge(page, os.page_size) == 0 && *(volatile char *)page == 0;
}

/* What the first move of a process found out. */
enum { MOVES_UNKNOWN, MOVES_WORK, MOVES_FAIL };
static _Atomic(int) moves; /* [atomic] two threads may both try and find the same */

/* Moves one page and looks what became of both. Kernels before 5.7 cannot leave the old range mapped. An
 * emulator of another processor moves, but then loses sight of both ranges and takes a purge of them for
 * done. */
static int try_moves(void) {
	void *got = NULL;
	size_t page = os.page_size;
	int error = os_map(NULL, 2 * page, &got);
	if (error != 0 || got == NULL)
		return error;
	char *from = got, *to = from + page;
	memset(from, 1, page);
	error = move_pages(to, from, page);
	bool works = error == 0 && memcmp(to, from, page) != 0 && is_purgeable(from) && is_purgeable(to);
	(void)os_unmap(got, 2 * page);
	if (error != 0 && error != EINVAL)
		return error; /* short of something just now: says nothing about the next time */
	store_relaxed(&moves, works ? MOVES_WORK : MOVES_FAIL);
	return 0;
}

int os_move(void *to, void *from, size_t size) {
	/* Strict accounting, and a range of several mappings: mremap unmaps the target, then fails. */
	if (!os.overcommits)
		return ENOTSUP;
	int error = load_relaxed(&moves) == MOVES_UNKNOWN ? try_moves() : 0;
	if (error != 0)
		return error;
	if (load_relaxed(&moves) != MOVES_WORK)
		return ENOTSUP;
	if (!is_one_mapping(from, size))
		return EFAULT;
	return move_pages(to, from, size);
}

int os_protect(void *addr, size_t size, bool accessible) {
	int saved = errno;
	/* Parts of a mapping that was never written to would each get a record of pages of their own when they are,
	 * and not merge again. So it is written to before it is split. */
	if (!accessible) {
		*(volatile char *)addr = 0;
		(void)advise(addr, size, MADV_DONTNEED);
	}
	int error = mprotect(addr, size, accessible ? PROT_READ | PROT_WRITE : PROT_NONE) != 0 ? errno : 0;
	errno = saved;
	return error;
}

int os_collapse(void *addr, size_t size) {
	return advise(addr, size, MADV_COLLAPSE);
}

STARTUP int os_huge_pages(void *addr, size_t size, bool wanted) {
	return advise(addr, size, wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}
