/* launch.c - runs one program and writes what it used to a file descriptor:
 *     launch FD SECONDS LIB PROGRAM [ARGUMENT]...      (LIB is - for no preload)
 * A process is born with the resident-set high-water mark of the image that called exec, so a harness written
 * in a big language would show its own size as everybody's peak. This program is a few hundred KiB, linked
 * statically, and the preload reaches the child only. After SECONDS the child's process group is ended. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
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

int main(int argc, char **argv) {
	struct timespec start, end;
	struct rusage used;
	int status;
	if (argc < 5) {
		fprintf(stderr, "usage: launch FD SECONDS LIB PROGRAM [ARGUMENT]...\n");
		return 2;
	}
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
	dprintf(atoi(argv[1]), "status=%d expired=%d user_s=%.6f sys_s=%.6f elapsed_s=%.6f peak_kib=%ld\n",
	        status, (int)launch_expired, launch_seconds(used.ru_utime), launch_seconds(used.ru_stime),
	        elapsed, used.ru_maxrss);
	return 0;
}
