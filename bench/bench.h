/* bench.h - what every workload shares: parameters given as name=value, a fixed random sequence, clocks,
 * the resident set, and marks in blocks that show whether somebody else wrote to them.
 *
 * A workload prints one line of name=value pairs. The first pair is its own figure, the others explain it.
 * It asks the allocator for nothing but the blocks it measures: its own tables come from mmap.
 *
 * The environment variable BENCH_IDLE (seconds) makes bench_end() sleep and add rss_idle_kib, the resident
 * set after the workload gave everything back and sat still. */
#ifndef BENCH_H
#define BENCH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct bench_random {
	uint64_t state;
};

static inline _Noreturn void bench_fail(const char *what) {
	fprintf(stderr, "bench: %s (%s)\n", what, strerror(errno));
	exit(1);
}

static inline uint64_t bench_now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* xorshift64*: the same numbers for every library, whatever libc does. */
static inline uint64_t bench_random_next(struct bench_random *r) {
	uint64_t x = r->state;
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	r->state = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

static inline struct bench_random bench_random_make(uint64_t seed) {
	struct bench_random r = {(seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1};
	for (int i = 0; i < 8; i++)
		bench_random_next(&r);
	return r;
}

/* Uniform in [0, n). The bias of the multiply is below 2^-32 and the same for all. */
static inline uint32_t bench_random_below(struct bench_random *r, uint32_t n) {
	return (uint32_t)(((bench_random_next(r) >> 32) * n) >> 32);
}

/* Log-uniform between two powers of two, 2^low <= result < 2^high. */
static inline size_t bench_random_log(struct bench_random *r, unsigned low, unsigned high) {
	size_t base = (size_t)1 << (low + bench_random_below(r, high - low));
	return base + (bench_random_next(r) >> 32) % base;
}

static inline void *bench_map(size_t bytes) {
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		bench_fail("no memory for a table");
	return p;
}

/* The resident set in KiB, exact: statm is allowed to lag, smaps_rollup walks the page tables. */
static inline long bench_rss(void) {
	char text[4096];
	int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		bench_fail("cannot open smaps_rollup");
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		bench_fail("cannot read smaps_rollup");
	text[n] = '\0';
	const char *at = strstr(text, "\nRss:");
	if (at == NULL)
		bench_fail("no Rss line in smaps_rollup");
	return strtol(at + 5, NULL, 10);
}

/* A tag in the first and the last byte; a block that another owner wrote to loses it. */
static inline void bench_mark(void *block, size_t size, unsigned tag) {
	volatile unsigned char *p = block;
	p[0] = (unsigned char)tag;
	p[size - 1] = (unsigned char)tag;
}

static inline void bench_check(const void *block, size_t size, unsigned tag) {
	const volatile unsigned char *p = block;
	if (p[0] != (unsigned char)tag || p[size - 1] != (unsigned char)tag) {
		fprintf(stderr, "bench: block %p of %zu bytes was overwritten\n", (const void *)block, size);
		abort();
	}
}

static inline void *bench_alloc(size_t size) {
	void *p = malloc(size);
	if (p == NULL)
		bench_fail("malloc returned NULL");
	return p;
}

/* One write per 4 KiB, so that the block is really resident. */
static inline void bench_touch(void *block, size_t from, size_t to) {
	volatile unsigned char *p = block;
	for (size_t i = from; i < to; i += 4096)
		p[i] = 1;
}

/* The text after "name=" among the arguments, or NULL. */
static inline const char *bench_word(char **argv, const char *name) {
	size_t n = strlen(name);
	for (int i = 1; argv[i] != NULL; i++) {
		if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=')
			return argv[i] + n + 1;
	}
	return NULL;
}

static inline bool bench_is(char **argv, const char *name, const char *value) {
	const char *text = bench_word(argv, name);
	return text != NULL && strcmp(text, value) == 0;
}

static inline long bench_number(char **argv, const char *name, long fallback) {
	const char *text = bench_word(argv, name);
	if (text == NULL)
		return fallback;
	char *end;
	errno = 0;
	long value = strtol(text, &end, 0);
	if (end == text || *end != '\0' || errno != 0 || value < 0) {
		fprintf(stderr, "bench: %s=%s is not a number\n", name, text);
		exit(2);
	}
	return value;
}

/* Stops on an argument that is not name=value with a name of the space-separated list: a misspelt
 * parameter must not silently measure something else. */
static inline void bench_start(char **argv, const char *names) {
	for (int i = 1; argv[i] != NULL; i++) {
		const char *equals = strchr(argv[i], '=');
		size_t n = equals == NULL ? 0 : (size_t)(equals - argv[i]);
		bool known = false;
		for (const char *at = names; n != 0 && *at != '\0';) {
			size_t m = strcspn(at, " ");
			known = known || (m == n && strncmp(at, argv[i], n) == 0);
			at += m + strspn(at + m, " ");
		}
		if (!known) {
			fprintf(stderr, "usage: %s [name=value]... with the names: %s\n", argv[0], names);
			exit(2);
		}
	}
}

static inline void bench_sleep(long seconds) {
	struct timespec t = {.tv_sec = seconds, .tv_nsec = 0};
	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

/* Sits still; with `beat` but for a malloc and free of 100 KB every 10 ms, so that the library is visited. */
static inline void bench_rest(long seconds, bool beat) {
	if (!beat) {
		bench_sleep(seconds);
		return;
	}
	for (uint64_t end = bench_now() + (uint64_t)seconds * 1000000000u; bench_now() < end;) {
		free(bench_alloc(100000));
		struct timespec pause = {.tv_nsec = 10000000};
		nanosleep(&pause, NULL);
	}
}

/* Runs body(args + i * stride) in n threads and waits for all. */
static inline void bench_threads(unsigned n, void *(*body)(void *), void *args, size_t stride) {
	pthread_t *id = bench_map(n * sizeof *id + 1);
	for (unsigned i = 0; i < n; i++) {
		if (pthread_create(&id[i], NULL, body, (char *)args + i * stride) != 0)
			bench_fail("pthread_create");
	}
	for (unsigned i = 0; i < n; i++)
		pthread_join(id[i], NULL);
	munmap(id, n * sizeof *id + 1);
}

/* Ends the line that the workload began with printf. */
static inline int bench_end(void) {
	printf(" rss_end_kib=%ld", bench_rss());
	const char *idle = getenv("BENCH_IDLE");
	if (idle != NULL && atoi(idle) > 0) {
		bench_sleep(atoi(idle));
		printf(" rss_idle_kib=%ld", bench_rss());
	}
	printf("\n");
	return fflush(stdout) == 0 ? 0 : 1;
}

#endif
