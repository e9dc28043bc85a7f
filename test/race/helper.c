/*
 * The helper thread and what programs do around it: it starts of itself where there are several threads, takes no signals,
 * follows setgid and setuid, is not tied to the CPU of the thread that started it, is gone in forked children until they
 * have threads of their own, and minds neither daemon nor vfork.
 */
// ctest-timeout: 120
#define _GNU_SOURCE
#include "../harness.h"
#include "../helpers.h"
#include "../idle.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

enum { MIB = 32 };

static cpu_set_t first_cpus; /* before anybody is tied to one */

/* Runs `scene` while there is a second thread. */
static void with_thread(void (*scene)(void)) {
	pthread_t thread = start_idle();
	scene();
	end_idle(thread);
}

static void await(pid_t child) {
	int status;
	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	if (status != 0)
		fprintf(stderr, "a child ended with status %x\n", (unsigned)status);
	CHECK(status == 0);
}

static void in_a_child(void (*scene)(void)) {
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		scene();
		_exit(0);
	}
	await(child);
}

static void of_itself(void) {
	burst(MIB);
	expect_helpers(1);
	CHECK(!flag() && figure("stats.background_thread.num_threads") == 1);
}

/* -- signals, identities, CPUs --------------------------------------------------------------------------------- */

/* A signal to the process that all its threads block waits for one of them to fetch it. */
static void takes_no_signals(void) {
	sigset_t all;
	sigfillset(&all);
	CHECK(pthread_sigmask(SIG_SETMASK, &all, NULL) == 0);
	with_thread(of_itself);
	CHECK(kill(getpid(), SIGUSR1) == 0);
	usleep(20000);
	CHECK(sigtimedwait(&all, NULL, &(struct timespec){5, 0}) == SIGUSR1);
	expect_helpers(1);
}

/* The effective id in the helper's status, by the name of its line. */
static unsigned effective(const char *name) {
	unsigned id, real, result = 0;
	char path[100], line[200];
	CHECK(helpers_and_id(&id) == 1);
	snprintf(path, sizeof path, "/proc/self/task/%u/status", id);
	FILE *file = fopen(path, "r");
	CHECK(file != NULL);
	bool found = false;
	while (!found && fgets(line, sizeof line, file) != NULL)
		found = strncmp(line, name, strlen(name)) == 0 &&
		        sscanf(line + strlen(name), "%u %u", &real, &result) == 2;
	CHECK(found);
	fclose(file);
	return result;
}

/* The C library has each thread change its ids, and waits until all have. */
static void follows_identity(void) {
	sigset_t all;
	sigfillset(&all);
	CHECK(pthread_sigmask(SIG_SETMASK, &all, NULL) == 0);
	bool root = geteuid() == 0;
	unsigned group = root ? 65534 : getegid(), user = root ? 65534 : geteuid();
	CHECK(setegid(group) == 0 && effective("Gid:") == group);
	CHECK(setgid(group) == 0 && setuid(user) == 0);
	CHECK(effective("Uid:") == user && effective("Gid:") == group);
	burst(MIB);
}

static void changes_identity(void) {
	with_thread(of_itself);
	follows_identity();
}

static void is_on_all_cpus(void) {
	cpu_set_t one, now;
	unsigned id;
	size_t cpu = 0;
	while (!CPU_ISSET(cpu, &first_cpus))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
	with_thread(of_itself);
	CHECK(helpers_and_id(&id) == 1);
	CHECK(sched_getaffinity((pid_t)id, sizeof now, &now) == 0);
	CHECK(CPU_EQUAL(&now, &first_cpus));
	CHECK(sched_getaffinity(0, sizeof now, &now) == 0 && CPU_EQUAL(&now, &one));
}

/* -- other processes ------------------------------------------------------------------------------------------- */

static void alone(void) {
	CHECK(helpers() == 0);
	for (int i = 0; i < 20; i++)
		burst(MIB);
	CHECK(helpers() == 0 && !flag());
	if (TEST_TSAN)
		return;
	with_thread(of_itself);
	expect_helpers(1);
}

static void children(void) {
	with_thread(of_itself);
	for (int i = 0; i < 5; i++)
		in_a_child(alone);
	expect_helpers(1);
}

static int pipe_ends[2];

static void becomes_daemon(void) {
	with_thread(of_itself);
	if (daemon(1, 1) != 0)
		_exit(1);
	alone();
	CHECK(write(pipe_ends[1], "done", 4) == 4);
}

/* The daemon is nobody's child: it says itself that it came to its end. */
static void daemons(void) {
	char word[5] = "";
	CHECK(pipe(pipe_ends) == 0);
	in_a_child(becomes_daemon);
	close(pipe_ends[1]);
	CHECK(read(pipe_ends[0], word, 4) == 4 && strcmp(word, "done") == 0);
}

#if !TEST_TSAN /* which has no vfork */
/* Allocates in the parent's memory. What it would start would be a thread of the child's. */
static void vfork_and_burst(void) {
	pid_t child = vfork();
	if (child == 0) {
		burst(MIB);
		_exit(0);
	}
	await(child);
}

static void allow_helper(bool allowed) {
	CHECK(SUT(mallctl)("helper_thread", NULL, NULL, &allowed, sizeof allowed) == 0);
}

static void starts_after_vfork(void) {
	CHECK(helpers() == 0);
	allow_helper(true);
	for (int i = 0; i < 5; i++)
		vfork_and_burst();
	of_itself();
	vfork_and_burst();
	uint64_t before = figure("stats.background_thread.num_runs");
	for (int i = 0; i < 500 && figure("stats.background_thread.num_runs") == before; i++)
		usleep(10000);
	CHECK(figure("stats.background_thread.num_runs") > before);
	expect_helpers(1);
}

static void vforks(void) {
	extern char **environ;
	char name[] = "true";
	char *words[] = {name, NULL};
	pid_t child;
	allow_helper(false);
	with_thread(starts_after_vfork);
	CHECK(posix_spawnp(&child, name, NULL, NULL, words, environ) == 0);
	await(child);
	expect_helpers(1);
}
#endif

int main(void) {
	CHECK(sched_getaffinity(0, sizeof first_cpus, &first_cpus) == 0);
	in_a_child(takes_no_signals);
	in_a_child(changes_identity);
	in_a_child(is_on_all_cpus);
	in_a_child(children);
	in_a_child(daemons);
#if !TEST_TSAN
	in_a_child(vforks);
#endif
	return 0;
}
