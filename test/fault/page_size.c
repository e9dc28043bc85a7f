/*
 * The library is told that OS pages are 16 or 64 KiB.  This program answers for the kernel: it defines the
 * functions that tell the page size, gives out mappings as such a kernel would place them, and refuses, by
 * ending the test, every address and length such a kernel would refuse.
 */
// ctest-timeout: 120
#define _GNU_SOURCE
#include "../harness.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

long __sysconf(int name);
unsigned long __getauxval(unsigned long type);

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static atomic_long advised, asked;

static size_t page(void) {
	const char *text = environ != NULL ? getenv("TEST_OS_PAGE") : NULL;
	return text != NULL ? (size_t)strtoul(text, NULL, 10) : 4096;
}

static size_t round_up(size_t length) {
	return (length + page() - 1) & ~(page() - 1);
}

static bool on_page(const void *address) {
	return test_aligned(address, page());
}

long sysconf(int name) {
	if (name != _SC_PAGESIZE)
		return __sysconf(name);
	atomic_fetch_add(&asked, 1);
	return (long)page();
}

int getpagesize(void) {
	atomic_fetch_add(&asked, 1);
	return (int)page();
}

unsigned long getauxval(unsigned long type) {
	if (type != AT_PAGESZ)
		return __getauxval(type);
	atomic_fetch_add(&asked, 1);
	return page();
}

void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset) {
	CHECK(length > 0);
	CHECK((offset & (off_t)(page() - 1)) == 0);
	length = round_up(length);
	if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) != 0) {
		CHECK(on_page(address));
		return (void *)syscall(SYS_mmap, address, length, protection, flags, file, offset);
	}
	/* A hint is rounded as a kernel would; where it is not free, map more and cut off the ends. */
	address = (void *)((uintptr_t)address & ~(page() - 1));
	long result = syscall(SYS_mmap, address, length, protection, flags, file, offset);
	if (result == -1 || on_page((void *)result))
		return (void *)result;
	syscall(SYS_munmap, result, length);
	result = syscall(SYS_mmap, NULL, length + page(), protection, flags, file, offset);
	if (result == -1)
		return MAP_FAILED;
	uintptr_t start = round_up((uintptr_t)result), end = (uintptr_t)result + length + page();
	if (start > (uintptr_t)result)
		syscall(SYS_munmap, result, start - (uintptr_t)result);
	if (end > start + length)
		syscall(SYS_munmap, start + length, end - start - length);
	return (void *)start;
}

void *mmap64(void *address, size_t length, int protection, int flags, int file, off_t offset) {
	return mmap(address, length, protection, flags, file, offset);
}

int munmap(void *address, size_t length) {
	CHECK(on_page(address) && length > 0);
	return (int)syscall(SYS_munmap, address, round_up(length));
}

void *mremap(void *address, size_t old_length, size_t new_length, int flags, ...) {
	va_list rest;
	va_start(rest, flags);
	void *target = (flags & MREMAP_FIXED) != 0 ? va_arg(rest, void *) : NULL;
	va_end(rest);
	CHECK(on_page(address) && on_page(target));
	/* Where it would have to choose a place itself, say no: only mmap above knows how. */
	if ((flags & MREMAP_MAYMOVE) != 0 && (flags & MREMAP_FIXED) == 0) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return (void *)syscall(SYS_mremap, address, round_up(old_length), round_up(new_length), flags,
	                       target);
}

/* The kernel rounds the length up itself, and would take memory that is still in use with it. */
int madvise(void *address, size_t length, int advice) {
	CHECK(on_page(address));
	CHECK(length == round_up(length));
	atomic_fetch_add(&advised, 1);
	return (int)syscall(SYS_madvise, address, length, advice);
}

int mprotect(void *address, size_t length, int protection) {
	CHECK(on_page(address));
	CHECK(length == round_up(length));
	return (int)syscall(SYS_mprotect, address, length, protection);
}

ssize_t process_madvise(int process, const struct iovec *ranges, size_t count, int advice, unsigned flags) {
	for (size_t i = 0; i < count; i++)
		CHECK(on_page(ranges[i].iov_base) && ranges[i].iov_len == round_up(ranges[i].iov_len));
	atomic_fetch_add(&advised, 1);
	return (ssize_t)syscall(SYS_process_madvise, process, ranges, count, advice, flags);
}

/* ---- a workload that frees in every grain, below the page and above ---- */

enum { SLOTS = 1500 };

static void *blocks[SLOTS];
static size_t sizes[SLOTS];

static void churn(uint64_t *random, size_t steps) {
	for (size_t step = 0; step < steps; step++) {
		size_t at = test_below(random, SLOTS),
		       size = test_below(random, (size_t)1 << (3 + test_below(random, 19)));
		if (blocks[at] != NULL)
			CHECK(test_holds(blocks[at], sizes[at], sizes[at], at));
		if (step % 5 == 0 && blocks[at] != NULL) {
			void *moved = realloc(blocks[at], size + 1);
			CHECK(moved != NULL &&
			      test_holds(moved, sizes[at], sizes[at] < size ? sizes[at] : size, at));
			blocks[at] = moved;
		} else {
			free(blocks[at]);
			blocks[at] = step % 3 == 0   ? calloc(1, size)
			             : step % 7 == 0 ? aligned_alloc(32768, size)
			                             : malloc(size);
			CHECK(blocks[at] != NULL);
		}
		sizes[at] = size;
		test_fill(blocks[at], size, at);
		if (step % 2000 == 0)
			malloc_trim(0);
	}
}

static void *thread_life(void *argument) {
	void *own[100];
	for (size_t i = 0; i < 100; i++) {
		own[i] = malloc(i * 500);
		CHECK(own[i] != NULL);
		memset(own[i], 1, i * 500);
	}
	for (size_t i = 0; i < 100; i++)
		free(own[i]);
	return argument;
}

/* Usable sizes and alignment are those of 4 KiB pages whatever the OS page is. */
static void same_sizes_everywhere(void) {
	static const size_t asked_for[] = {1, 100, 4096, 5000, 14336, 16384, 20480, 33000, 100000, 1000000};
	static const size_t given[] = {8, 112, 4096, 5120, 14336, 16384, 20480, 36864, 102400, 1003520};
	for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
		void *ptr = malloc(asked_for[i]);
		CHECK(ptr != NULL && malloc_usable_size(ptr) == given[i]);
		free(ptr);
	}
	void *ptr = valloc(100);
	CHECK(ptr != NULL && test_aligned(ptr, 4096));
	free(ptr);
}

static int run(void) {
	uint64_t random = test_seed();
	same_sizes_everywhere();
	churn(&random, test_scaled(20000));
	pthread_t threads[4];
	for (size_t i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, thread_life, NULL) == 0);
	for (size_t i = 0; i < 4; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	churn(&random, test_scaled(5000));
	for (size_t i = 0; i < SLOTS; i++)
		free(blocks[i]);
	malloc_trim(0);
	CHECK(atomic_load(&asked) > 0);
	CHECK(atomic_load(&advised) > 0);
	return 0;
}

static void start(const char *size, const char *conf) {
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		setenv("TEST_OS_PAGE", size, 1);
		setenv("MALLOC_CONF", conf, 1);
		execl("/proc/self/exe", "page_size", "run", (char *)NULL);
		_exit(99);
	}
	int status = 0;
	CHECK(waitpid(child, &status, 0) == child);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fprintf(stderr, "OS page %s, MALLOC_CONF=%s: status 0x%x\n", size, conf, (unsigned)status);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int count, char **arguments) {
	(void)arguments;
	if (count > 1)
		return run();
	static const char *const pages[] = {"4096", "16384", "65536"};
	for (size_t i = 0; i < 3; i++) {
		start(pages[i], "");
		start(pages[i], "dirty_decay_ms:0");
		start(pages[i], "dirty_decay_ms:0,san_guard_large:2,san_guard_small:2");
		start(pages[i], "dirty_decay_ms:1,muzzy_decay_ms:1");
	}
	return 0;
}
