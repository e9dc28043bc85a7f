/*
 * The mean age of very many samples that are very old: together they are older than 64 bits of nanoseconds. The clock is
 * the program's own here, and goes ahead.
 */
// ctest: MALLOC_CONF=prof:true,lg_prof_sample:0,prof_format:proto
#define _GNU_SOURCE
#include "ctl.h"

#include <sys/syscall.h>

enum { BLOCKS = 20000, DAYS = 30 };

static volatile time_t ahead;

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *time) {
	int result = (int)syscall(SYS_clock_gettime, clock, time);
	time->tv_sec += ahead;
	return result;
}

static unsigned char profile[1 << 20];
static size_t used;

static void collect(void *opaque, const void *data, size_t size) {
	(void)opaque;
	CHECK(used + size < sizeof profile);
	memcpy(profile + used, data, size);
	used += size;
}

/* Of the labels { key: 12, number, unit: 13 }, in milliseconds. */
static uint64_t greatest_age(void) {
	uint64_t greatest = 0;
	for (size_t i = 0; i + 16 < used; i++) {
		uint64_t age = 0;
		size_t at = i + 3;
		if (memcmp(profile + i, "\x08\x0c\x18", 3) != 0)
			continue;
		for (unsigned shift = 0; shift < 64; shift += 7) {
			age |= (uint64_t)(profile[at] & 0x7f) << shift;
			if ((profile[at++] & 0x80) == 0)
				break;
		}
		if (memcmp(profile + at, "\x20\x0d", 2) == 0 && age > greatest)
			greatest = age;
	}
	return greatest;
}

int main(void) {
	static void *blocks[BLOCKS];
	struct {
		void (*write)(void *, const void *, size_t);
		void *opaque;
	} receiver = {collect, NULL};
	const uint64_t day = 24 * 3600 * 1000;
	for (size_t i = 0; i < BLOCKS; i++)
		blocks[i] = malloc(100);
	ahead = DAYS * 24 * 3600;
	CHECK(ctl_write("prof.dump_call", &receiver, sizeof receiver) == 0);
	uint64_t age = greatest_age();
	printf("%.3f days\n", (double)age / (double)day);
	CHECK(age >= DAYS * day && age < (DAYS + 1) * day);
	ahead = 0;
	for (size_t i = 0; i < BLOCKS; i++)
		free(blocks[i]);
	return 0;
}
