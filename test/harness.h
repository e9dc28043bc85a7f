/*
 * harness.h - what every black-box test shares: calls the compiler cannot see through, checks that end
 * the whole process from any thread, random numbers with a printed seed, and a look at /proc.
 *
 * Include it after the system headers.  malloc() and its relatives become macros here: the compiler knows
 * those names and would otherwise drop a pair, assume a result, or warn about the misuse a test is for.
 *
 * With ASHLAR_PREFIXED the library under test is a static archive whose functions carry the prefix
 * ashlar_, so that a sanitizer can keep the plain names; the macros then call those.
 *
 * Environment: TEST_SEED repeats a run, TEST_SCALE (percent, default 100) lengthens or shortens the loops.
 */
#ifndef TEST_HARNESS_H
#define TEST_HARNESS_H

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
#define TEST_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TEST_TSAN 1
#endif
#endif
#ifndef TEST_TSAN
#define TEST_TSAN 0
#endif

#ifdef ASHLAR_PREFIXED
#define SUT(name) ashlar_##name
#else
#define SUT(name) name
#endif

#ifdef __cplusplus
extern "C" {
#endif
#ifdef ASHLAR_PREFIXED
void *ashlar_malloc(size_t size);
void *ashlar_calloc(size_t num, size_t size);
void *ashlar_realloc(void *ptr, size_t size);
void *ashlar_reallocarray(void *ptr, size_t num, size_t size);
void ashlar_free(void *ptr);
int ashlar_posix_memalign(void **memptr, size_t alignment, size_t size);
void *ashlar_aligned_alloc(size_t alignment, size_t size);
void *ashlar_memalign(size_t alignment, size_t size);
size_t ashlar_malloc_usable_size(void *ptr);
int ashlar_malloc_trim(size_t pad);
#endif
#ifndef __cplusplus
void *SUT(reallocf)(void *ptr, size_t size);
void SUT(cfree)(void *ptr);
void SUT(free_sized)(void *ptr, size_t size);
void SUT(free_aligned_sized)(void *ptr, size_t alignment, size_t size);
#endif
#if TEST_TSAN
/* A child of a threaded process may start threads; and the end of a process need not wait for reports.
 * Not weak: the runtime has a weak one of its own, which is linked first. */
const char *__tsan_default_options(void);
__attribute__((visibility("default"))) const char *__tsan_default_options(void) {
	return "die_after_fork=0:atexit_sleep_ms=0";
}
#endif
#ifdef __cplusplus
}
#endif

#define TEST_OPAQUE      static __attribute__((noinline, unused))
#define TEST_HIDE(value) __asm__ volatile("" : "+r"(value) : : "memory")

TEST_OPAQUE void *t_malloc(size_t size) {
	TEST_HIDE(size);
	void *ptr = SUT(malloc)(size);
	TEST_HIDE(ptr);
	return ptr;
}

TEST_OPAQUE void *t_calloc(size_t num, size_t size) {
	TEST_HIDE(num);
	TEST_HIDE(size);
	void *ptr = SUT(calloc)(num, size);
	TEST_HIDE(ptr);
	return ptr;
}

TEST_OPAQUE void *t_realloc(void *ptr, size_t size) {
	TEST_HIDE(ptr);
	TEST_HIDE(size);
	void *moved = SUT(realloc)(ptr, size);
	TEST_HIDE(moved);
	return moved;
}

TEST_OPAQUE void t_free(void *ptr) {
	TEST_HIDE(ptr);
	SUT(free)(ptr);
}

TEST_OPAQUE int t_posix_memalign(void **memptr, size_t alignment, size_t size) {
	TEST_HIDE(alignment);
	TEST_HIDE(size);
	int error = SUT(posix_memalign)(memptr, alignment, size);
	TEST_HIDE(error);
	return error;
}

TEST_OPAQUE void *t_aligned_alloc(size_t alignment, size_t size) {
	TEST_HIDE(alignment);
	TEST_HIDE(size);
	void *ptr = SUT(aligned_alloc)(alignment, size);
	TEST_HIDE(ptr);
	return ptr;
}

TEST_OPAQUE void *t_memalign(size_t alignment, size_t size) {
	TEST_HIDE(alignment);
	TEST_HIDE(size);
	void *ptr = SUT(memalign)(alignment, size);
	TEST_HIDE(ptr);
	return ptr;
}

TEST_OPAQUE void *t_reallocarray(void *ptr, size_t num, size_t size) {
	TEST_HIDE(ptr);
	TEST_HIDE(num);
	TEST_HIDE(size);
	void *moved = SUT(reallocarray)(ptr, num, size);
	TEST_HIDE(moved);
	return moved;
}

TEST_OPAQUE size_t t_usable(void *ptr) {
	TEST_HIDE(ptr);
	size_t size = SUT(malloc_usable_size)(ptr);
	TEST_HIDE(size);
	return size;
}

#define malloc(size)                            t_malloc(size)
#define calloc(num, size)                       t_calloc(num, size)
#define realloc(ptr, size)                      t_realloc(ptr, size)
#define free(ptr)                               t_free(ptr)
#define posix_memalign(memptr, alignment, size) t_posix_memalign(memptr, alignment, size)
#define aligned_alloc(alignment, size)          t_aligned_alloc(alignment, size)
#define memalign(alignment, size)               t_memalign(alignment, size)
#define reallocarray(ptr, num, size)            t_reallocarray(ptr, num, size)
#define malloc_usable_size(ptr)                 t_usable(ptr)

/* ---- checks: usable in every thread and in forked children, and without memory ---- */

TEST_OPAQUE __attribute__((noreturn)) void test_fail(const char *file, int line, const char *what) {
	char text[512];
	int length = snprintf(text, sizeof text, "%s:%d: check failed: %s (pid %d, errno %d)\n", file, line,
	                      what, (int)getpid(), errno);
	if (length > 0 && write(2, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1) < 0)
		_exit(2);
	_exit(1);
}

#define CHECK(condition) \
	do { \
		if (!(condition)) \
			test_fail(__FILE__, __LINE__, #condition); \
	} while (0)

/* ---- loop lengths and random numbers ---- */

/* The number of rounds to do where the plain build does `rounds`; at least 1. */
static __attribute__((unused)) size_t test_scaled(size_t rounds) {
	const char *text = getenv("TEST_SCALE");
	size_t percent = text != NULL ? (size_t)strtoul(text, NULL, 10) : 100;
	if (TEST_TSAN)
		percent = percent / 10 + 1;
	rounds = rounds * percent / 100;
	return rounds > 0 ? rounds : 1;
}

/* One seed per run, printed once so that a failure can be repeated with TEST_SEED. */
static __attribute__((unused)) uint64_t test_seed(void) {
	const char *text = getenv("TEST_SEED");
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t seed =
		(uint64_t)now.tv_nsec * 2654435761u ^ (uint64_t)now.tv_sec ^ ((uint64_t)getpid() << 40);
	if (text != NULL)
		seed = strtoull(text, NULL, 0);
	fprintf(stderr, "TEST_SEED=0x%llx\n", (unsigned long long)seed);
	return seed;
}

/* A step of splitmix64; any value of *state will do. */
static inline uint64_t test_random(uint64_t *state) {
	uint64_t z = *state += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static inline size_t test_below(uint64_t *state, size_t bound) {
	return (size_t)(test_random(state) % bound);
}

/* ---- contents ---- */

enum { TEST_EDGE = 512, TEST_STRIDE = 4096, TEST_TOUCH = 32 };

/* Small blocks are written whole; of large ones both edges and a few bytes of every page. */
static inline size_t test_next_piece(size_t at, size_t size, size_t *length) {
	if (size <= 2 * (size_t)TEST_EDGE + TEST_STRIDE) {
		*length = size - at;
	} else if (at == 0 || at + TEST_EDGE == size) {
		*length = TEST_EDGE;
	} else {
		*length = TEST_TOUCH;
	}
	size_t next = (at / TEST_STRIDE + 1) * TEST_STRIDE;
	if (at + *length >= size)
		return size;
	return next + TEST_TOUCH < size - TEST_EDGE ? next : size - TEST_EDGE;
}

static inline unsigned char test_pattern(uint64_t tag, size_t at) {
	return (unsigned char)((tag ^ (at * 0x9e3779b97f4a7c15u)) >> 37);
}

static __attribute__((unused)) void test_fill(void *block, size_t size, uint64_t tag) {
	unsigned char *bytes = (unsigned char *)block;
	size_t length = 0;
	for (size_t at = 0, next; at < size; at = next) {
		next = test_next_piece(at, size, &length);
		for (size_t i = at; i < at + length; i++)
			bytes[i] = test_pattern(tag, i);
	}
}

/* True when the first `check` bytes still hold what test_fill(block, size, tag) wrote there. */
static __attribute__((unused)) bool test_holds(const void *block, size_t size, size_t check, uint64_t tag) {
	const unsigned char *bytes = (const unsigned char *)block;
	size_t length = 0;
	for (size_t at = 0, next; at < size; at = next) {
		next = test_next_piece(at, size, &length);
		for (size_t i = at; i < at + length && i < check; i++)
			if (bytes[i] != test_pattern(tag, i))
				return false;
	}
	return true;
}

static inline bool test_aligned(const void *ptr, size_t alignment) {
	return ((uintptr_t)ptr & (alignment - 1)) == 0;
}

/* ---- the process as the kernel sees it ---- */

/* A "Name:" line of /proc/self/status in KiB. */
static __attribute__((unused)) size_t test_status_kib(const char *name) {
	char text[8192];
	FILE *file = fopen("/proc/self/status", "r");
	CHECK(file != NULL);
	char buffer[1024];
	setvbuf(file, buffer, _IOFBF, sizeof buffer);
	size_t value = 0, length = strlen(name);
	while (fgets(text, sizeof text, file) != NULL)
		if (strncmp(text, name, length) == 0 && text[length] == ':')
			value = (size_t)strtoul(text + length + 1, NULL, 10);
	fclose(file);
	return value;
}

#endif
