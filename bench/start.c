/* start.c - what it costs a program to start with a library preloaded:
 *     start LIB.so|- COUNT PROGRAM [ARGUMENT]...
 * runs the program COUNT times, one after the other, and prints the median time of a run, from the fork to its end, the
 * mean CPU time, and the median of the peak resident sets. Like the launcher it is small and linked statically: a
 * process is born with the high-water mark of the image that called exec. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 10000 };

static double start_us[MOST], start_kib[MOST];

static double start_now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int start_order(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double start_median(double *values, long n) {
	qsort(values, (size_t)n, sizeof values[0], start_order);
	return values[n / 2];
}

/* One run; its CPU time in microseconds. */
static double start_run(char **program, long i) {
	struct rusage used;
	int status;
	double begin = start_now();
	pid_t child = vfork();
	if (child == 0) {
		execvp(program[0], program);
		_exit(127);
	}
	if (child < 0 || wait4(child, &status, 0, &used) != child || status != 0) {
		fprintf(stderr, "start: %s did not run (%s)\n", program[0], strerror(errno));
		exit(1);
	}
	start_us[i] = start_now() - begin;
	start_kib[i] = (double)used.ru_maxrss;
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
	       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

int main(int argc, char **argv) {
	long count = argc < 4 ? 0 : atol(argv[2]);
	if (count < 1 || count > MOST) {
		fprintf(stderr, "usage: start LIB.so|- COUNT PROGRAM [ARGUMENT]...\n");
		return 2;
	}
	if (strcmp(argv[1], "-") != 0)
		setenv("LD_PRELOAD", argv[1], 1);
	double cpu = 0;
	for (long i = 0; i < count; i++)
		cpu += start_run(argv + 3, i);
	printf("us=%.1f cpu_us=%.1f kib=%.0f runs=%ld\n", start_median(start_us, count), cpu / (double)count,
	       start_median(start_kib, count), count);
	return 0;
}
