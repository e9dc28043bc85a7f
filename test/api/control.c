/* The calls by name and the variables a program may set. The options of this program come from three places. */
// ctest: MALLOC_CONF=muzzy_decay_ms:22,narenas:2
#define _GNU_SOURCE
#include <jemalloc/jemalloc.h>

#include "api.h"

const char *SUT(malloc_conf) = "dirty_decay_ms:11,muzzy_decay_ms:11,narenas:1";
const char *SUT(malloc_conf_2_conf_harder) = "narenas:3,no_such_option:1";

static char heard[4096];

static void hear(void *opaque, const char *text) {
	if (opaque == NULL)
		strncat(heard, text, sizeof heard - strlen(heard) - 1);
}

/* Strong and constant: the complaint about the option above comes before any constructor. */
void (*SUT(malloc_message))(void *opaque, const char *text) = hear;

static size_t read_size(const char *name, size_t bytes) {
	size_t value = 0, size = bytes;
	assert_int_equal(SUT(mallctl)(name, &value, &size, NULL, 0), 0);
	assert_int_equal(size, bytes);
	return value;
}

static void options_by_source(void **state) {
	(void)state;
	assert_int_equal(read_size("opt.dirty_decay_ms", sizeof(ssize_t)), 11);
	assert_int_equal(read_size("opt.muzzy_decay_ms", sizeof(ssize_t)), 22);
	assert_int_equal(read_size("opt.narenas", sizeof(unsigned)), 3);
	assert_non_null(strstr(heard, "<ashlar>: Invalid conf pair: no_such_option:1"));
}

static void version_is_the_header(void **state) {
	const char *version = NULL;
	size_t size = sizeof version;
	(void)state;
	assert_int_equal(SUT(mallctl)("version", &version, &size, NULL, 0), 0);
	assert_string_equal(version, JEMALLOC_VERSION);
	assert_string_equal(version + strlen("5.3.1-0-g"), JEMALLOC_VERSION_GID);
}

static void names_and_numbers(void **state) {
	size_t mib[4] = {0}, length = COUNT_OF(mib), value = 0, size = sizeof value;
	(void)state;
	assert_int_equal(SUT(mallctlnametomib)("arenas.bin.0.size", mib, &length), 0);
	assert_int_equal(length, 4);
	mib[2] = 3;
	assert_int_equal(SUT(mallctlbymib)(mib, length, &value, &size, NULL, 0), 0);
	assert_int_equal(value, 48);
	assert_int_equal(SUT(mallctl)("arenas.bin.3.siz", &value, &size, NULL, 0), ENOENT);
	mib[2] = 36;
	assert_int_equal(SUT(mallctlbymib)(mib, length, &value, &size, NULL, 0), ENOENT);
}

static void count_bytes(void *opaque, const char *text) {
	*(size_t *)opaque += strlen(text);
}

static void statistics_go_where_told(void **state) {
	size_t bytes = 0;
	(void)state;
	heard[0] = 0;
	SUT(malloc_stats_print)(count_bytes, &bytes, NULL);
	assert_true(bytes > 100);
	assert_string_equal(heard, "");
	SUT(malloc_stats_print)(NULL, NULL, NULL);
	assert_true(strlen(heard) > 100);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_by_source),
		cmocka_unit_test(version_is_the_header),
		cmocka_unit_test(names_and_numbers),
		cmocka_unit_test(statistics_go_where_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
