/*
 * What is sampled before anything was loaded completely, which profiling from the start may be: stacks begin at malloc's
 * caller there too.
 */
#include "ctl.h"

#ifdef ASHLAR_PREFIXED

int main(void) {
	return 77; /* sanitizers are not ready so early */
}

#else

extern const char *malloc_conf;
__attribute__((visibility("default"))) const char *malloc_conf = "prof:true,lg_prof_sample:0";

static void *block;

static __attribute__((noinline)) void allocate_early(int argc, char **argv, char **environment) {
	(void)argc;
	(void)argv;
	(void)environment;
	block = (SUT(malloc))(4711);
	TEST_HIDE(block);
}

/* Called before any library's constructors; the environment is not there yet. */
__attribute__((section(".preinit_array"), used)) static void (*const first)(int, char **,
                                                                            char **) = allocate_early;

static char text[1 << 20];
static size_t used;

static void collect(void *opaque, const void *data, size_t size) {
	(void)opaque;
	CHECK(used + size < sizeof text);
	memcpy(text + used, data, size);
	used += size;
}

int main(void) {
	struct {
		void (*write)(void *, const void *, size_t);
		void *opaque;
	} receiver = {collect, NULL};
	unsigned found = 0;
	CHECK(block != NULL);
	CHECK(ctl_write("prof.dump_call", &receiver, sizeof receiver) == 0);
	for (const char *at = text; (at = strstr(at, "\n@ 0x")) != NULL; at++)
		found += strtoull(at + 3, NULL, 16) - (uintptr_t)allocate_early < 100;
	CHECK(found == 1);
	free(block);
	return 0;
}

#endif
