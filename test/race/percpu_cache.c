/*
 * Caches of CPUs while threads are moved between CPUs, preempted and interrupted by handlers, while others drain
 * those caches, and while the process forks: every block has one owner, and no figure is lost.
 */
// ctest-timeout: 200
// ctest: MALLOC_CONF=percpu_cache:true
#define _GNU_SOURCE
#include "../harness.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <sys/wait.h>

int SUT(mallctl)(const char *name, void *old, size_t *old_size, void *value, size_t size);

enum { THREADS = 24, SLOTS = 64, STEPS = TEST_TSAN ? 20000 : 150000, FORKS = TEST_TSAN ? 5 : 40 };

static atomic_bool over;
static _Atomic(uint64_t) handled;
static _Atomic(uintptr_t) exchange[64]; /* blocks on their way from thread to thread */

static uint64_t figure(const char *name, size_t size) {
	uint64_t value = 0;
	CHECK(SUT(mallctl)(name, &value, &size, NULL, 0) == 0);
	return value;
}

static void act(const char *name) {
	CHECK(SUT(mallctl)(name, NULL, NULL, NULL, 0) == 0);
}

static void trim(void) {
	(void)figure("ashlar.trim", sizeof(size_t));
}

static size_t size_of(uint64_t *random) {
	return test_below(random, 8) == 0 ? 1 + test_below(random, 20000) : 16 + test_below(random, 300);
}

/* A block knows its address and its size: two owners would overwrite each other. */
static void *make(uint64_t *random) {
	size_t size = size_of(random) + 2 * sizeof(uintptr_t);
	uintptr_t *block = SUT(malloc)(size);
	CHECK(block != NULL);
	block[0] = (uintptr_t)block;
	block[1] = size;
	((unsigned char *)block)[size - 1] = (unsigned char)size;
	return block;
}

static void end(void *ptr) {
	uintptr_t *block = ptr;
	CHECK(block[0] == (uintptr_t)block);
	CHECK(((unsigned char *)block)[block[1] - 1] == (unsigned char)block[1] || block[1] <= 16);
	block[0] = 0;
	SUT(free)(block);
}

static void move(uint64_t *random) {
	cpu_set_t here;
	CPU_ZERO(&here);
	CPU_SET(test_below(random, (uint64_t)sysconf(_SC_NPROCESSORS_CONF)), &here);
	(void)sched_setaffinity(0, sizeof here, &here);
}

static void *work(void *argument) {
	uint64_t random = test_seed() + (uintptr_t)argument;
	void *mine[SLOTS] = {NULL};
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned i = (unsigned)test_below(&random, SLOTS);
		if (mine[i] != NULL)
			end(mine[i]);
		mine[i] = make(&random);
		if (step % 16 == 0) {
			unsigned k = (unsigned)test_below(&random, 64);
			mine[i] = (void *)atomic_exchange(&exchange[k], (uintptr_t)mine[i]);
		}
		if (step % 4096 == 0)
			move(&random);
		if (step % 8192 == 0)
			act("thread.tcache.flush");
	}
	for (unsigned i = 0; i < SLOTS; i++)
		if (mine[i] != NULL)
			end(mine[i]);
	return NULL;
}

static void *drain(void *argument) {
	(void)argument;
	while (!atomic_load(&over)) {
		trim();
		usleep(500);
	}
	return NULL;
}

/* It may interrupt malloc, and so does not allocate: the sequences are disturbed all the same. */
static void handler(int number) {
	(void)number;
	atomic_fetch_add(&handled, 1);
}

static void child(void) {
	uint64_t random = 4711;
	void *blocks[300];
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 300; i++)
			blocks[i] = make(&random);
		for (unsigned i = 0; i < 300; i++)
			end(blocks[i]);
		if (round % 5 == 0)
			trim();
	}
	(void)figure("stats.ashlar.percpu.bytes", sizeof(size_t));
	_exit(figure("stats.ashlar.percpu.on", sizeof(bool)) == 1 ? 0 : 1);
}

static void fork_now_and_then(void) {
	for (unsigned i = 0; i < FORKS; i++) {
		int status;
		pid_t pid = fork();
		CHECK(pid >= 0);
		if (pid == 0)
			child();
		CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
		usleep(2000);
	}
}

static void interrupt(bool on) {
	const struct itimerval often = {{0, on ? 300 : 0}, {0, on ? 300 : 0}};
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
	CHECK(sigaction(SIGPROF, &action, NULL) == 0 && setitimer(ITIMER_PROF, &often, NULL) == 0);
}

int main(void) {
	pthread_t thread[THREADS], drainer;
	uint64_t epoch = 1;
	if (figure("stats.ashlar.percpu.on", sizeof(bool)) == 0) {
		printf("no restartable sequences here\n");
		return 77;
	}
	interrupt(true);
	CHECK(pthread_create(&drainer, NULL, drain, NULL) == 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, work, (void *)i) == 0);
	fork_now_and_then();
	for (unsigned i = 0; i < THREADS; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	atomic_store(&over, true);
	CHECK(pthread_join(drainer, NULL) == 0);
	interrupt(false);
	CHECK(atomic_load(&handled) > 0);
	for (unsigned k = 0; k < 64; k++)
		if (exchange[k] != 0)
			end((void *)exchange[k]);
	trim();
	CHECK(SUT(mallctl)("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
	CHECK(figure("stats.ashlar.percpu.bytes", sizeof(size_t)) < 64 << 10);
	CHECK(figure("stats.ashlar.live", sizeof(size_t)) < 1 << 20); /* what stdio and threads keep */
	return 0;
}
