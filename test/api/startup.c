/* The heap works before main, in constructors, and after main, in destructors and exit handlers. */
#define _GNU_SOURCE
#include "../harness.h"

#include <sys/wait.h>

static char *early;
static int report = -1;

__attribute__((constructor(101))) static void first(void) {
	early = malloc(1000);
	CHECK(early != NULL);
	memset(early, 'e', 1000);
}

__attribute__((constructor)) static void second(void) {
	void *zeros = calloc(300, 300), *aligned = NULL;
	CHECK(zeros != NULL);
	CHECK(posix_memalign(&aligned, 4096, 100) == 0);
	free(zeros);
	free(aligned);
	early = realloc(early, 100000);
	CHECK(early != NULL && early[0] == 'e' && early[999] == 'e');
}

static void after(const char *mark) {
	char *block = calloc(1, 5000);
	CHECK(block != NULL && block[4999] == 0);
	memcpy(block, mark, 1);
	if (report >= 0)
		CHECK(write(report, block, 1) == 1);
	free(block);
}

__attribute__((destructor)) static void last(void) {
	after("d");
	free(early);
}

static void at_exit_one(void) {
	after("1");
}

static void at_exit_two(void) {
	after("2");
	early = realloc(early, 20);
	CHECK(early != NULL && early[0] == 'e');
}

int main(void) {
	int ends[2];
	CHECK(pipe(ends) == 0);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		report = ends[1];
		CHECK(atexit(at_exit_one) == 0);
		for (int i = 0; i < 100; i++)
			CHECK(atexit(at_exit_two) == 0);
		return 7;
	}
	close(ends[1]);
	char marks[128];
	size_t length = 0;
	ssize_t got;
	while ((got = read(ends[0], marks + length, sizeof marks - length)) > 0)
		length += (size_t)got;
	int status = 0;
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	CHECK(length == 102 && marks[0] == '2' && marks[99] == '2' && marks[100] == '1' && marks[101] == 'd');
	CHECK(early != NULL && early[0] == 'e' && early[999] == 'e');
	return 0;
}
