/* large.c - big blocks. mode=touch: malloc, write once per page, free, of `mib` MiB. mode=realloc: doubling
 * from 4 KiB to `mib` MiB, every new page written, the old contents looked at after each move.
 * mode=calloc: 64 KiB to 4 MiB, every page looked at for zero and written. mode=zero: calloc of `mib` MiB, of which the
 * first `pages` pages are (unless that is given: all). With most_ms=N touch and zero stop after that time, which is good for
 * who has not made `count` by then: `blocks` says how far it came. Figure: microseconds per block. */
#include "bench.h"

static uint64_t large_end = UINT64_MAX; /* [const after start] */

/* These give back how many blocks they made until the end. */
static long large_touch(size_t size, long count) {
	long i = 0;
	for (; i < count && bench_now() < large_end; i++) {
		unsigned char *p = bench_alloc(size);
		bench_touch(p, 0, size);
		free(p);
	}
	return i;
}

static void large_realloc_once(size_t limit) {
	unsigned char *p = bench_alloc(4096);
	bench_touch(p, 0, 4096);
	bench_mark(p, 4096, 0x5a);
	for (size_t size = 8192; size <= limit; size *= 2) {
		unsigned char *q = realloc(p, size);
		if (q == NULL)
			bench_fail("realloc returned NULL");
		p = q;
		bench_check(p, size / 2, 0x5a);
		bench_touch(p, size / 2, size);
		bench_mark(p, size, 0x5a);
	}
	free(p);
}

/* Of a block of zeros, looks at and writes to one byte of each page of the first `used` bytes, and to its last byte. */
static void large_zeroed(size_t size, size_t used) {
	volatile unsigned char *p = calloc(1, size);
	if (p == NULL)
		bench_fail("calloc returned NULL");
	unsigned seen = used == 0 ? 0 : p[used - 1];
	for (size_t j = 0; j < used; j += 4096) {
		seen |= p[j];
		p[j] = 1;
	}
	if (seen != 0) {
		fprintf(stderr, "bench: calloc gave a block that is not zero\n");
		abort();
	}
	if (used > 0)
		p[used - 1] = 1;
	free((void *)(uintptr_t)p);
}

static long large_zero(size_t size, size_t used, long count) {
	long i = 0;
	for (; i < count && bench_now() < large_end; i++)
		large_zeroed(size, used);
	return i;
}

static void large_calloc(long count) {
	struct bench_random random = bench_random_make(3);
	for (long i = 0; i < count; i++) {
		size_t size = bench_random_log(&random, 16, 22);
		large_zeroed(size, size);
	}
}

int main(int argc, char **argv) {
	(void)argc;
	bench_start(argv, "mode mib count pages most_ms");
	size_t size = (size_t)bench_number(argv, "mib", 4) << 20;
	long count = bench_number(argv, "count", 1000);
	long most = bench_number(argv, "most_ms", 0);
	const char *mode = bench_word(argv, "mode");
	uint64_t start = bench_now();
	if (most > 0)
		large_end = start + (uint64_t)most * 1000000;
	if (mode == NULL || strcmp(mode, "touch") == 0) {
		count = large_touch(size, count);
	} else if (strcmp(mode, "realloc") == 0) {
		for (long i = 0; i < count; i++)
			large_realloc_once(size);
	} else if (strcmp(mode, "calloc") == 0) {
		large_calloc(count);
	} else if (strcmp(mode, "zero") == 0) {
		size_t used = (size_t)bench_number(argv, "pages", (long)(size / 4096)) * 4096;
		count = large_zero(size, used < size ? used : size, count);
	} else {
		bench_fail("mode must be touch, realloc, calloc or zero");
	}
	double us = (double)(bench_now() - start) / 1e3 / (double)count;
	printf("us=%.3f mib=%zu blocks=%ld", us, size >> 20, count);
	return bench_end();
}
