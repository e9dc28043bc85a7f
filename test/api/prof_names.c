/* The system's names of threads may hold any bytes; no line of a dump, and no JSON, may break for them. */
// ctest: MALLOC_CONF=prof:true,lg_prof_sample:0,prof_sys_thread_name:true,prof_recent_alloc_max:1
#include "ctl.h"

#include <sys/prctl.h>

static char text[1 << 20];

static void collect(void *opaque, const char *part) {
	(void)opaque;
	CHECK(strlen(text) + strlen(part) < sizeof text);
	strcat(text, part);
}

static void check_recent(const char *expected) {
	struct {
		void (*write)(void *, const char *);
		void *opaque;
	} receiver = {collect, NULL};
	text[0] = 0;
	CHECK(ctl_write("experimental.prof_recent.alloc_dump", &receiver, sizeof receiver) == 0);
	CHECK(strstr(text, expected) != NULL);
}

static void check_dump(const char *expected) {
	char name[64];
	(void)snprintf(name, sizeof name, "prof-names-%d", (int)getpid());
	CHECK(CTL_SET(const char *, "prof.dump", name) == 0);
	FILE *file = fopen(name, "r");
	CHECK(file != NULL);
	text[fread(text, 1, sizeof text - 1, file)] = 0;
	CHECK(fclose(file) == 0 && unlink(name) == 0);
	CHECK(strstr(text, expected) != NULL);
}

static void any_bytes(void **state) {
	(void)state;
	static const struct {
		const char *given, *dumped, *json;
	} names[] = {
		{"plain name", "] plain name\n", "\"alloc_thread_name\":\"plain name\""},
		{"a\n  t9: 1: 2", "] a?  t9: 1: 2\n", "\"alloc_thread_name\":\"a?  t9: 1: 2\""},
		{"\xff\xc3\xa9\x7f\x01\r", "] ??????\n", "\"alloc_thread_name\":\"??????\""},
		{"q\"b\\t\t.", "] q\"b\\t\t.\n", "\"alloc_thread_name\":\"q\\\"b\\\\t\\u0009.\""},
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		CHECK(prctl(PR_SET_NAME, names[i].given) == 0);
		void *block = malloc(100);
		TEST_HIDE(block);
		check_recent(names[i].json);
		check_dump(names[i].dumped);
		free(block);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(any_bytes)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
