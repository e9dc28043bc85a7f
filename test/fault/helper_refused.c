/*
 * The system refuses the helper thread: malloc goes on without a word, visits give the memory back, and the start is tried
 * again once a minute. One that was asked for is missed in one message. The clock is the test's own.
 */
// ctest-timeout: 120
#define _GNU_SOURCE
#include "../clock.h"
#include "../harness.h"
#include "../helpers.h"
#include "../idle.h"

#include <dlfcn.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern void (*malloc_message)(void *opaque, const char *text);

typedef int create_thread(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *),
                          void *argument);

/* Atomic: the compiler knows better than that malloc could change them. */
static _Atomic(int) refusal; /* of the library's threads, which have attributes; 0: they are not refused */
static _Atomic(unsigned) tries;

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *),
                   void *argument) {
	create_thread *real;
	void *found = dlsym(RTLD_NEXT, "pthread_create");
	memcpy(&real, &found, sizeof real);
	if (attributes == NULL)
		return real(thread, attributes, body, argument);
	tries++;
	return refusal != 0 ? refusal : real(thread, attributes, body, argument);
}

static _Atomic(unsigned) messages;
static char said[200];

static void keep_message(void *opaque, const char *text) {
	(void)opaque;
	messages++;
	snprintf(said, sizeof said, "%s", text);
}

/* A light load of fifteen seconds brings a burst down. */
static void memory_goes_back(void) {
	burst(128);
	CHECK(test_status_kib("VmRSS") > 100 * 1024);
	for (int i = 0; i < 15 * 500; i++) {
		free(malloc((size_t)i % 1000));
		pass(0.002);
	}
	CHECK(test_status_kib("VmRSS") < 16 * 1024);
}

static void refused(int error) {
	refusal = error;
	start_idle();
	burst(64);
	CHECK(tries == 1 && helpers() == 0);
	for (int i = 0; i < 100; i++)
		burst(8);
	memory_goes_back();
	CHECK(tries == 1);
	for (unsigned i = 2; i < 5; i++) {
		pass(61);
		burst(8);
		CHECK(tries == i);
	}
	CHECK(helpers() == 0 && messages == 0 && !flag());
	refusal = 0;
	burst(8);
	CHECK(helpers() == 0);
	pass(61);
	burst(8);
	expect_helpers(1);
	CHECK(messages == 0 && tries == 5);
}

static void again(void) {
	refused(EAGAIN);
}

static void not_allowed(void) {
	refused(EPERM);
}

/* As it is in a sandbox: the kernel says EPERM to each clone. */
static void sandboxed(void) {
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof code / sizeof code[0], code};
	refusal = EAGAIN;
	start_idle();
	refusal = 0;
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
	pass(61);
	tries = 0;
	burst(64);
	memory_goes_back();
	CHECK(tries == 1 && helpers() == 0 && messages == 0);
	CHECK(set_flag(true) == EFAULT && messages == 1);
}

/* Run with background_thread:true. */
static void asked_for(void) {
	refusal = EAGAIN;
	burst(64);
	for (int i = 0; i < 5; i++) {
		pass(61);
		burst(8);
	}
	CHECK(tries == 6 && helpers() == 0 && messages == 1);
	char wanted[100];
	snprintf(wanted, sizeof wanted, "<ashlar>: background thread creation failed (%d)\n", EAGAIN);
	CHECK(strcmp(said, wanted) == 0);
	memory_goes_back();
	refusal = 0;
	pass(61);
	burst(8);
	expect_helpers(1);
	CHECK(messages == 1 && flag());
}

static void in_a_child(void (*scene)(void), char *program) {
	pid_t child = fork();
	int status;
	CHECK(child >= 0);
	if (child == 0) {
		if (scene == asked_for) {
			char word[] = "asked";
			char *words[] = {program, word, NULL};
			setenv("MALLOC_CONF", "background_thread:true", 1);
			execv("/proc/self/exe", words);
			_exit(1);
		}
		scene();
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(int count, char **words) {
	malloc_message = keep_message;
	if (count > 1) {
		asked_for();
		_exit(0);
	}
	in_a_child(again, words[0]);
	in_a_child(not_allowed, words[0]);
	in_a_child(sandboxed, words[0]);
	in_a_child(asked_for, words[0]);
	return 0;
}
