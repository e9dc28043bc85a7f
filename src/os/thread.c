/* thread.c - clocks, sleeping on a word, threads, the end. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "util/util.h"
#include "os/os.h"

#define SECOND ((uint64_t)1000000000)

/* The kernel's numbers: its header is missing where only a C library is installed. */
#define FUTEX_WAIT_PRIVATE 128
#define FUTEX_WAKE_PRIVATE 129

/* Enough for our own helper thread; what libc puts on the stack besides may ask for more, see start_sized. */
#define STACK_SIZE (256 * KIB)

static uint64_t read_clock(clockid_t clock) {
	int saved = errno;
	struct timespec now = {0, 0};
	(void)clock_gettime(clock, &now);
	errno = saved;
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

STARTUP uint64_t os_now(void) {
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t os_now_coarse(void) {
	return read_clock(CLOCK_MONOTONIC_COARSE);
}

/* What atexit and, in glibc, pthread_atfork call (C++ ABI, Linux Standard Base). Those two are linked into each library,
 * behind all of its code, where nothing else of a start lies. */
int __cxa_atexit(void (*function)(void *), void *argument, void *library);
#ifdef __GLIBC__
int __register_atfork(void (*before)(void), void (*parent)(void), void (*child)(void), void *library);
#else
#define __register_atfork(before, parent, child, library) pthread_atfork(before, parent, child)
#endif
extern HIDDEN void *__dso_handle; /* this library; NULL in a static program */

STARTUP bool os_at_exit(void (*function)(void *)) {
	return __cxa_atexit(function, NULL, __dso_handle) == 0;
}

STARTUP void os_at_fork(void (*before)(void), void (*parent)(void), void (*child)(void)) {
	(void)__register_atfork(before, parent, child, __dso_handle);
}

int os_on_signal(int number, void (*handler)(int)) {
	struct sigaction now, wanted = {.sa_flags = SA_RESTART | SA_ONSTACK};
	int saved = errno, error = sigaction(number, NULL, &now) != 0 ? errno : 0;
	if (error == 0 && ((now.sa_flags & SA_SIGINFO) != 0 || now.sa_handler != SIG_DFL))
		error = EEXIST;
	wanted.sa_handler = handler;
	sigemptyset(&wanted.sa_mask);
	if (error == 0 && sigaction(number, &wanted, NULL) != 0)
		error = errno;
	errno = saved;
	return error;
}

uint64_t os_wall_time(void) {
	return read_clock(CLOCK_REALTIME);
}

void os_wait(_Atomic(uint32_t) *word, uint32_t value, uint64_t timeout_ns) {
	int saved = errno;
	struct timespec limit = {(time_t)(timeout_ns / SECOND), (long)(timeout_ns % SECOND)};
	(void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, timeout_ns != 0 ? &limit : NULL, NULL, 0);
	errno = saved;
}

void os_wake(_Atomic(uint32_t) *word, int count) {
	int saved = errno;
	(void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
	errno = saved;
}

void os_yield(void) {
	int saved = errno;
	(void)sched_yield();
	errno = saved;
}

STARTUP uint32_t os_thread_id(void) {
	return (uint32_t)syscall(SYS_gettid);
}

STARTUP uint32_t os_process_id(void) {
	return (uint32_t)getpid();
}

void os_thread_name(char name[16]) {
	memset(name, 0, 16);
	(void)prctl(PR_GET_NAME, name, 0, 0, 0);
	name[15] = 0;
}

/* The kernel looks at the set before it looks at what to do with it, which is nothing it knows. */
bool os_readable(const void *word) {
	int saved = errno;
	long result = syscall(SYS_rt_sigprocmask, ~0, word, NULL, sizeof(uint64_t));
	bool readable = result != 0 && errno != EFAULT;
	errno = saved;
	return readable;
}

unsigned os_cpu(void) {
	int saved = errno, cpu = sched_getcpu();
	errno = saved;
	return cpu < 0 ? 0 : (unsigned)cpu;
}

/* By the system call: the function of that name came with glibc 2.29. */
STARTUP unsigned os_node(void) {
	int saved = errno;
	unsigned node = 0;
	if (syscall(SYS_getcpu, NULL, &node, NULL) != 0)
		node = 0;
	errno = saved;
	return node;
}

/* -- starting a thread ----------------------------------------------------------------------------------------- */

/* Room for 8192 CPUs, a bit for each: the kernel refuses a mask smaller than its own. */
#define CPU_WORDS 128

static uint64_t noted[CPU_WORDS]; /* [const after start] all zero: unknown */

/* By number: the C library's own function lies where nothing else of a start does. */
STARTUP static bool read_cpus(uint64_t mask[CPU_WORDS]) {
	int saved = errno;
	memset(mask, 0, sizeof noted);
	bool known = syscall(SYS_sched_getaffinity, 0, sizeof noted, mask) > 0;
	errno = saved;
	return known;
}

STARTUP unsigned os_note_cpus(void) {
	return read_cpus(noted) ? bitmap_count_range(noted, 0, sizeof noted * 8) : 0;
}

/* A thread inherits its starter's CPUs; ours is not to compete for the one that a busy thread has to itself. */
static void leave_cpu(void) {
	uint64_t own[CPU_WORDS];
	if (read_cpus(own) && memcmp(own, noted, sizeof own) != 0)
		(void)syscall(SYS_sched_setaffinity, 0, sizeof noted,
		              noted); /* refused where none is noted */
}

/* What a new thread needs to know. It lives on the stack of the starter, who stays until it has been
 * copied; so a start allocates nothing of ours. */
struct start {
	void (*body)(void *);
	void *argument;
	const char *name;
	_Atomic(uint32_t) taken; /* [atomic] 1: the new thread needs the record no more */
};

static void *thread_main(void *data) {
	struct start *start = data;
	void (*body)(void *) = start->body;
	void *argument = start->argument;
	(void)prctl(PR_SET_NAME, start->name, 0, 0, 0);
	leave_cpu();
	store_release(&start->taken, 1);
	/* The record may be gone by now. Its address alone matters for a wake, and waking a stranger is
	 * harmless. */
	os_wake(&start->taken, 1);
	body(argument);
	return NULL;
}

/* Size 0: the default of the process. */
static int create(struct start *start, size_t stack_size) {
	pthread_t thread;
	pthread_attr_t attributes;
	int error = pthread_attr_init(&attributes);
	if (error != 0)
		return error;
	error = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (error == 0 && stack_size != 0)
		error = pthread_attr_setstacksize(&attributes, stack_size);
	if (error == 0)
		error = pthread_create(&thread, &attributes, thread_main, start);
	(void)pthread_attr_destroy(&attributes);
	return error;
}

/* The C library may put the thread-local storage of all loaded objects on the stack, and says EINVAL when
 * that does not fit; the default size is what the program itself lives with. */
static int create_small(struct start *start) {
	size_t least = (size_t)PTHREAD_STACK_MIN;
	int error = create(start, round_up(size_max(STACK_SIZE, least), os.page_size));
	return error == EINVAL ? create(start, 0) : error;
}

int os_thread_start(void (*body)(void *), void *argument, const char *name) {
	int saved = errno;
	struct start start = {body, argument, name, 0};
	sigset_t all, before;
	sigfillset(&all);
	int error = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (error == 0) {
		error = create_small(&start);
		while (error == 0 && load_acquire(&start.taken) == 0)
			os_wait(&start.taken, 0, 0);
		(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	errno = saved;
	return error;
}

_Noreturn void os_abort(void) {
	abort();
}

/* glibc 2.32 and later; other C libraries have no such variable. */
extern char __libc_single_threaded __attribute__((weak)); /* NOLINT(bugprone-reserved-identifier) */

bool os_several_threads(void) {
	return &__libc_single_threaded != NULL && !__libc_single_threaded;
}
