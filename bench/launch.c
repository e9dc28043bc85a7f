/* launch.c - runs one program and writes what it used to a file descriptor:
 *     launch FD SECONDS LIB PROGRAM [ARGUMENT]...      (LIB is - for no preload)
 * With LAUNCH_COUNT in the environment also the instructions that it and all it started took in user mode, or 0 and the reason where the
 * processor's counters cannot be had.
 * A process is born with the resident-set high-water mark of the image that called exec, so a harness written
 * in a big language would show its own size as everybody's peak. This program is a few hundred KiB, linked
 * statically, and the preload reaches the child only. After SECONDS the child's process group is ended. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t launch_expired;
static pid_t launch_child;

static void launch_stop(int number) {
	launch_expired = number == SIGALRM;
	kill(-launch_child, SIGKILL);
}

static double launch_seconds(struct timeval t) {
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void launch_exec(char **argv) {
	setpgid(0, 0);
	/* Should this launcher be killed, nothing of what it started stays behind. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(atoi(argv[1]));
	if (strcmp(argv[3], "-") != 0)
		setenv("LD_PRELOAD", argv[3], 1);
	execvp(argv[4], argv + 4);
	fprintf(stderr, "launch: %s: %s\n", argv[4], strerror(errno));
	_exit(127);
}

/* A counter that the child inherits and that starts with its exec; below 0: there is none. */
static int launch_counter(void) {
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof attr,
		.config = PERF_COUNT_HW_INSTRUCTIONS,
		.disabled = 1,
		.inherit = 1,
		.enable_on_exec = 1,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};
	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static void launch_print_count(int out, int counter, int error) {
	uint64_t count = 0;
	if (counter < 0 || read(counter, &count, sizeof count) != (ssize_t)sizeof count)
		count = 0;
	dprintf(out, "instructions=%llu no_counter=%d\n", (unsigned long long)count, counter < 0 ? error : 0);
}

static void launch_print(int out, int status, double elapsed, const struct rusage *used) {
	dprintf(out,
	        "status=%d expired=%d user_s=%.6f sys_s=%.6f elapsed_s=%.6f peak_kib=%ld minor_faults=%ld "
	        "major_faults=%ld\n",
	        status, (int)launch_expired, launch_seconds(used->ru_utime), launch_seconds(used->ru_stime),
	        elapsed, used->ru_maxrss, used->ru_minflt, used->ru_majflt);
}

int main(int argc, char **argv) {
	struct timespec start, end;
	struct rusage used;
	int status;
	bool counted = getenv("LAUNCH_COUNT") != NULL;
	if (argc < 5) {
		fprintf(stderr, "usage: launch FD SECONDS LIB PROGRAM [ARGUMENT]...\n");
		return 2;
	}
	int counter = counted ? launch_counter() : -1, error = errno;
	clock_gettime(CLOCK_MONOTONIC, &start);
	launch_child = fork();
	if (launch_child == 0)
		launch_exec(argv);
	if (launch_child < 0)
		return 1;
	setpgid(launch_child, launch_child); /* whichever of the two comes first */
	signal(SIGALRM, launch_stop);
	signal(SIGTERM, launch_stop);
	signal(SIGINT, launch_stop);
	alarm((unsigned)atoi(argv[2]));
	while (wait4(launch_child, &status, 0, &used) != launch_child) {
		if (errno != EINTR)
			return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	double elapsed = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
	launch_print(atoi(argv[1]), status, elapsed, &used);
	if (counted)
		launch_print_count(atoi(argv[1]), counter, error);
	return 0;
}
