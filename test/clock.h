/*
 * clock.h - a clock that runs when the test says so: clock_gettime of the whole process, the library's calls included, tells
 * the system's time and what was let pass besides.  It is a definition, so one file of a program includes it.
 */
#ifndef TEST_CLOCK_H
#define TEST_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic(uint64_t) ahead; /* nanoseconds */

int clock_gettime(clockid_t clock, struct timespec *now) {
	if (syscall(SYS_clock_gettime, clock, now) != 0)
		return -1;
	uint64_t add = atomic_load(&ahead) + (uint64_t)now->tv_nsec;
	now->tv_sec += (time_t)(add / 1000000000);
	now->tv_nsec = (long)(add % 1000000000);
	return 0;
}

static void pass(double seconds) {
	atomic_fetch_add(&ahead, (uint64_t)(seconds * 1e9));
}

#endif
