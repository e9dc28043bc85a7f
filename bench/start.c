/* start.c - what it costs a program to start with a library preloaded:
 *     start LIB.so|- COUNT PROGRAM [ARGUMENT]...
 * runs the program COUNT times, one after the other, and prints the median time of a run, from the fork to its end, and the
 * mean CPU time. A tenth as many runs more are stopped at their end, traced: the median of what is resident there, as
 * smaps_rollup has it. (The peak that wait4 reports comes from counters that lag by up to some hundred KiB.) */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/ptrace.h>
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

static noreturn void start_failed(char **program, const char *what) {
	fprintf(stderr, "start: %s: %s\n", program[0], what);
	exit(1);
}

/* Ends with a message unless the program came to its own good end. */
static void start_check(char **program, int status) {
	char what[64];
	if (status == 0)
		return;
	if (WIFSIGNALED(status))
		snprintf(what, sizeof what, "ended by signal %d", WTERMSIG(status));
	else
		snprintf(what, sizeof what, "ended with status %d%s", WEXITSTATUS(status),
		         WEXITSTATUS(status) == 127 ? ": it was not found, perhaps" : "");
	start_failed(program, what);
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
	if (child < 0 || wait4(child, &status, 0, &used) != child)
		start_failed(program, strerror(errno));
	start_check(program, status);
	start_us[i] = start_now() - begin;
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
	       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

/* KiB that are resident in a process; 0: unknown. */
static double start_resident(pid_t process) {
	char name[64], line[256];
	double kib = 0;
	snprintf(name, sizeof name, "/proc/%d/smaps_rollup", (int)process);
	FILE *file = fopen(name, "r");
	while (file != NULL && kib == 0 && fgets(line, sizeof line, file) != NULL)
		if (strncmp(line, "Rss:", 4) == 0)
			kib = strtod(line + 4, NULL);
	if (file != NULL)
		fclose(file);
	return kib;
}

/* One run that is stopped after exec, and told to stop at its end; signals meanwhile reach it. */
static void start_traced(char **program, long i) {
	const int at_end = SIGTRAP | PTRACE_EVENT_EXIT << 8;
	int status;
	pid_t child = fork();
	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(126);
		execvp(program[0], program);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		start_failed(program, strerror(errno));
	if (!WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)(PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL)) != 0)
		start_failed(program, "it cannot be traced, so that its memory is not known");
	for (long passed = 0; WIFSTOPPED(status);) {
		if (ptrace(PTRACE_CONT, child, NULL, (void *)passed) != 0 ||
		    waitpid(child, &status, 0) != child)
			start_failed(program, strerror(errno));
		if (WIFSTOPPED(status) && status >> 8 == at_end)
			start_kib[i] = start_resident(child);
		passed = WIFSTOPPED(status) && status >> 8 != at_end ? WSTOPSIG(status) : 0;
	}
	start_check(program, status);
}

int main(int argc, char **argv) {
	long count = argc < 4 ? 0 : atol(argv[2]), traced = (count + 9) / 10;
	if (count < 1 || count > MOST) {
		fprintf(stderr, "usage: start LIB.so|- COUNT PROGRAM [ARGUMENT]...\n");
		return 2;
	}
	if (strcmp(argv[1], "-") != 0)
		setenv("LD_PRELOAD", argv[1], 1);
	double cpu = 0;
	for (long i = 0; i < count; i++)
		cpu += start_run(argv + 3, i);
	for (long i = 0; i < traced; i++)
		start_traced(argv + 3, i);
	printf("us=%.1f cpu_us=%.1f kib=%.0f runs=%ld\n", start_median(start_us, count), cpu / (double)count,
	       start_median(start_kib, traced), count);
	return 0;
}
