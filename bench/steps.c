/* steps.c - exact instruction counts of malloc and free, by single-stepping.
 *     steps LIB.so|- [pair] SIZE...
 *     steps LIB.so|- flags=FLAGS SIZE...      of mallocx and dallocx with that word of flags; 0 where there are none
 *     steps LIB.so|- sized SIZE...            of malloc and of freeing with the size: free_sized, else sdallocx, else
 *                                             sized operator delete; 0 where there is none
 * A child that preloads the library warms its cache up, stops, and then makes calls; the parent steps over
 * every instruction and counts from the first of malloc (or free) to the return to the caller. Two patterns:
 * `pair` frees each block at once, `batch` allocates 16 and frees 16. The median is the fast path, the mean
 * of batch lets refills and flushes show; `pair` before the sizes leaves the batch out. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <elf.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dlfcn.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WARM_LOOPS = 4096, WARM_DEPTH = 32, PINS = 8, PAIRS = 32, BATCHES = 16, DEPTH = 16, CALLS = 512 };

/* The plain ones do not look at the arguments that are too many. */
typedef void *steps_malloc_fn(size_t, int);
typedef void steps_free_fn(void *, size_t, int);

/* What is counted: two names as they are printed, and the functions of those names that are there first. */
struct steps_what {
	const char *mode, *name[2], *symbol[2][4];
};

static const struct steps_what steps_all[] = {
	{"plain", {"malloc", "free"}, {{"malloc"}, {"free"}}},
	{"flags", {"mallocx", "dallocx"}, {{"mallocx"}, {"dallocx"}}},
	{"sized", {"malloc", "sized_free"}, {{"malloc"}, {"free_sized", "sdallocx", "_ZdlPvm"}}},
};
enum { PLAIN, FLAGS };

static const struct steps_what *steps_what = &steps_all[PLAIN]; /* [const after start] */
static const char steps_flags_name[] = "STEPS_FLAGS", steps_what_name[] = "STEPS_WHAT";

/* Through dlsym: the address the loader chose, without the jump table in between. */
static void *steps_find(int which) {
	void *found = NULL;
	for (const char *const *symbol = steps_what->symbol[which]; found == NULL && *symbol != NULL;
	     symbol++)
		found = dlsym(RTLD_DEFAULT, *symbol);
	return found;
}

struct steps_state {
	uintptr_t pc, sp, caller;
};

struct steps_count {
	long value[CALLS];
	int n;
};

static _Noreturn void steps_fail(const char *what) {
	perror(what);
	exit(1);
}

/* dallocx has its flags where the others have the size. */
static size_t steps_second(size_t size, int flags) {
	return steps_what == &steps_all[FLAGS] ? (size_t)flags : size;
}

static void steps_warm(steps_malloc_fn *m, steps_free_fn *f, size_t size, int flags) {
	size_t second = steps_second(size, flags);
	void *volatile block[WARM_DEPTH];
	for (int i = 0; i < WARM_LOOPS; i++) {
		for (int j = 0; j < WARM_DEPTH; j++)
			block[j] = m(size, flags);
		for (int j = 0; j < WARM_DEPTH; j++)
			f(block[j], second, 0);
	}
	/* A few blocks stay, so that the slab in use is never the only and never an empty one. */
	for (int j = 0; j < PINS; j++)
		block[j] = m(size, flags);
}

static int steps_child(const char *size_text, bool batch) {
	size_t size = strtoul(size_text, NULL, 0);
	const char *text = getenv(steps_flags_name);
	int flags = text == NULL ? 0 : (int)strtol(text, NULL, 0);
	size_t second = steps_second(size, flags);
	void *m_at = steps_find(0);
	void *f_at = steps_find(1);
	steps_malloc_fn *m;
	steps_free_fn *f;
	void *volatile block[DEPTH];
	memcpy(&m, &m_at, sizeof m);
	memcpy(&f, &f_at, sizeof f);
	void *both[2] = {m_at, f_at};
	if (write(3, both, sizeof both) != (ssize_t)sizeof both)
		return 1;
	if (m_at == NULL || f_at == NULL)
		return 0;
	steps_warm(m, f, size, flags);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		return 1;
	raise(SIGSTOP);
	int depth = batch ? DEPTH : 1;
	for (int i = 0; i < (batch ? BATCHES : PAIRS); i++) {
		for (int j = 0; j < depth; j++)
			block[j] = m(size, flags);
		for (int j = 0; j < depth; j++)
			f(block[j], second, 0);
	}
	raise(SIGSTOP);
	return 0;
}

static struct steps_state steps_look(pid_t child) {
	struct user_regs_struct regs;
	struct iovec io = {&regs, sizeof regs};
	if (ptrace(PTRACE_GETREGSET, child, (void *)(uintptr_t)NT_PRSTATUS, &io) != 0)
		steps_fail("reading registers");
#if defined(__x86_64__)
	return (struct steps_state){regs.rip, regs.rsp, 0};
#elif defined(__aarch64__)
	return (struct steps_state){regs.pc, regs.sp, regs.regs[30]};
#else
#error "steps.c knows the registers of x86-64 and aarch64"
#endif
}

/* At the first instruction of a function: where it returns to, and the stack pointer after that. */
static struct steps_state steps_return(pid_t child, struct steps_state at) {
#if defined(__x86_64__)
	at.caller = (uintptr_t)ptrace(PTRACE_PEEKDATA, child, (void *)at.sp, NULL);
	at.sp += sizeof at.sp;
#else
	(void)child;
#endif
	return at;
}

/* One instruction on; false when the child stopped for another reason than the step. */
static bool steps_step(pid_t child) {
	int status;
	if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) != 0 || waitpid(child, &status, 0) != child)
		steps_fail("stepping");
	return WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
}

static void steps_trace(pid_t child, const void *const *entry, struct steps_count *count) {
	struct steps_state back = {0, 0, 0};
	int in = -1;
	long n = 0;
	do {
		struct steps_state now = steps_look(child);
		if (in >= 0 && now.pc == back.caller && now.sp == back.sp) {
			if (count[in].n < CALLS)
				count[in].value[count[in].n++] = n;
			in = -1;
		}
		if (in < 0 && (now.pc == (uintptr_t)entry[0] || now.pc == (uintptr_t)entry[1])) {
			in = now.pc == (uintptr_t)entry[1];
			back = steps_return(child, now);
			n = 0;
		}
		n++;
	} while (steps_step(child));
}

static pid_t steps_start(char *const *argv, const char *mode, int out) {
	pid_t child = fork();
	if (child != 0)
		return child;
	if (strcmp(argv[0], "-") != 0)
		setenv("LD_PRELOAD", argv[0], 1);
	dup2(out, 3);
	execl("/proc/self/exe", "steps", mode, argv[1], (char *)NULL);
	_exit(127);
}

static int steps_by_value(const void *a, const void *b) {
	long x = *(const long *)a;
	long y = *(const long *)b;
	return (x > y) - (x < y);
}

static void steps_print(const char *name, const char *mode, struct steps_count *count) {
	double sum = 0;
	if (count->n == 0)
		steps_fail("no call was seen");
	qsort(count->value, (size_t)count->n, sizeof count->value[0], steps_by_value);
	for (int i = 0; i < count->n; i++)
		sum += (double)count->value[i];
	printf(" %s%s=%ld %s%s_mean=%.1f %s%s_max=%ld", name, mode, count->value[count->n / 2], name, mode,
	       sum / count->n, name, mode, count->value[count->n - 1]);
}

/* argv[0] is the library, argv[1] the size. */
static void steps_measure(char *const *argv, const char *mode, const char *suffix) {
	static struct steps_count count[2];
	const void *entry[2];
	int end[2];
	int status;
	if (pipe(end) != 0)
		steps_fail("pipe");
	pid_t child = steps_start(argv, mode, end[1]);
	close(end[1]);
	if (child < 0 || read(end[0], entry, sizeof entry) != (ssize_t)sizeof entry)
		steps_fail("the child did not start");
	close(end[0]);
	if (entry[0] == NULL || entry[1] == NULL) {
		waitpid(child, &status, 0);
		printf(" %s%s=0 %s%s=0", steps_what->name[0], suffix, steps_what->name[1], suffix);
		return;
	}
	if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
		steps_fail("the child did not stop");
	count[0].n = count[1].n = 0;
	steps_trace(child, entry, count);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	steps_print(steps_what->name[0], suffix, &count[0]);
	steps_print(steps_what->name[1], suffix, &count[1]);
}

/* From the parent to the child by the environment. */
static void steps_choose(void) {
	const char *mode = getenv(steps_what_name);
	for (size_t i = 0; mode != NULL && i < sizeof steps_all / sizeof steps_all[0]; i++) {
		if (strcmp(steps_all[i].mode, mode) == 0)
			steps_what = &steps_all[i];
	}
}

int main(int argc, char **argv) {
	steps_choose();
	if (argc == 3 && strncmp(argv[1], "--", 2) == 0)
		return steps_child(argv[2], strcmp(argv[1], "--batch") == 0);
	if (argc < 3) {
		fprintf(stderr, "usage: steps LIB.so|- [pair | flags=FLAGS | sized] SIZE...\n");
		return 2;
	}
	bool flagged = strncmp(argv[2], "flags=", 6) == 0, sized = strcmp(argv[2], "sized") == 0;
	bool pair_only = flagged || sized || strcmp(argv[2], "pair") == 0;
	if (flagged)
		setenv(steps_flags_name, argv[2] + 6, 1);
	setenv(steps_what_name, flagged ? "flags" : sized ? "sized" : "plain", 1);
	steps_choose();
	for (int i = pair_only ? 3 : 2; i < argc; i++) {
		char *pass[2] = {argv[1], argv[i]};
		printf("size=%s", argv[i]);
		steps_measure(pass, "--pair", "");
		if (!pair_only)
			steps_measure(pass, "--batch", "_batch");
		printf("\n");
		fflush(stdout);
	}
	return 0;
}
