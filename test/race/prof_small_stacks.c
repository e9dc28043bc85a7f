/*
 * Threads with the smallest stacks there may be allocate while every sample is followed by a dump, in each format.
 */
// ctest: MALLOC_CONF=prof:true,lg_prof_sample:0,lg_prof_interval:10,prof_gdump:true,prof_prefix:small_stacks
#define _GNU_SOURCE
#include "../harness.h"

#include <glob.h>
#include <limits.h>
#include <pthread.h>

int SUT(mallctl)(const char *name, void *old, size_t *old_size, void *new, size_t new_size);

enum { BLOCKS = 20, SIZE = 3000 };

static void *allocate(void *argument) {
	(void)argument;
	for (int i = 0; i < BLOCKS; i++)
		free(malloc(SIZE));
	return NULL;
}

/* Removes what was dumped, and returns how many. */
static size_t remove_dumps(void) {
	char pattern[64];
	glob_t found;
	(void)snprintf(pattern, sizeof pattern, "small_stacks.%d.*", (int)getpid());
	if (glob(pattern, 0, NULL, &found) != 0)
		return 0;
	size_t count = found.gl_pathc;
	for (size_t i = 0; i < count; i++)
		CHECK(unlink(found.gl_pathv[i]) == 0);
	globfree(&found);
	return count;
}

static void dump_on_small_stack(const char *format) {
	pthread_t thread;
	pthread_attr_t attributes;
	CHECK(SUT(mallctl)("prof_format", NULL, NULL, &format, sizeof format) == 0);
	CHECK(pthread_attr_init(&attributes) == 0);
	CHECK(pthread_attr_setstacksize(&attributes, 16384) == 0);
	CHECK(pthread_create(&thread, &attributes, allocate, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	size_t dumps = remove_dumps();
	printf("%s: %zu dumps\n", format, dumps);
	CHECK(dumps >= BLOCKS);
}

int main(void) {
	bool off = false;
	if (sysconf(_SC_THREAD_STACK_MIN) > 16384)
		return 77;
	dump_on_small_stack("text");
	dump_on_small_stack("gperftools");
	dump_on_small_stack("proto");
	CHECK(SUT(mallctl)("prof.active", NULL, NULL, &off, sizeof off) == 0);
	(void)remove_dumps();
	return 0;
}
