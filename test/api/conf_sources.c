// ctest: MALLOC_CONF=tcache_max:4096,metadata_thp:always
/* conf_sources.c - a program that has its own option strings: they can be read back, and each overrides the one before it. And
 * the figures of arenas that follow a setting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "harness.h"
#include "ctl.h"

#ifdef ASHLAR_PREFIXED
#define malloc_conf               ashlar_malloc_conf
#define malloc_conf_2_conf_harder ashlar_malloc_conf_2_conf_harder
#endif

#define OWN    "tcache_max:1024,narenas:3,dirty_decay_ms:777"
#define HARDER "dirty_decay_ms:888"

extern const char *malloc_conf, *malloc_conf_2_conf_harder;
const char *malloc_conf = OWN, *malloc_conf_2_conf_harder = HARDER;

static void sources(void **state) {
	(void)state;
	assert_string_equal(CTL_GET(const char *, "opt.malloc_conf.global_var"), OWN);
	assert_string_equal(CTL_GET(const char *, "opt.malloc_conf.global_var_2_conf_harder"), HARDER);
	assert_string_equal(CTL_GET(const char *, "opt.malloc_conf.env_var"),
	                    "tcache_max:4096,metadata_thp:always");
	assert_int_equal(CTL_GET(size_t, "opt.tcache_max"),
	                 4096);                                /* the environment wins over the variable */
	assert_int_equal(CTL_GET(unsigned, "opt.narenas"), 3); /* key by key */
	assert_int_equal(CTL_GET(ssize_t, "opt.dirty_decay_ms"), 888); /* the harder one over all */
}

static void refresh(void) {
	assert_int_equal(CTL_SET(uint64_t, "epoch", 1), 0);
}

static void settings_of_arenas(void **state) {
	(void)state;
	refresh();
	assert_int_equal(CTL_GET(ssize_t, "stats.arenas.0.dirty_decay_ms"), 888);
	assert_int_equal(CTL_SET(ssize_t, "arena.0.dirty_decay_ms", 1234), 0);
	assert_int_equal(CTL_SET(ssize_t, "arena.0.muzzy_decay_ms", 4321), 0);
	assert_int_equal(CTL_SET(const char *, "arena.0.dss", "primary"), 0);
	refresh();
	assert_int_equal(CTL_GET(ssize_t, "stats.arenas.0.dirty_decay_ms"), 1234);
	assert_int_equal(CTL_GET(ssize_t, "stats.arenas.0.muzzy_decay_ms"), 4321);
	assert_string_equal(CTL_GET(const char *, "stats.arenas.0.dss"), "primary");
	assert_string_equal(CTL_GET(const char *, "stats.arenas.4096.dss"), "N/A");
}

static void huge_metadata(void **state) {
	(void)state;
	assert_true(CTL_GET(size_t, "stats.metadata_thp") > 0);
	assert_int_equal(CTL_GET(size_t, "stats.arenas.0.metadata_thp"),
	                 CTL_GET(size_t, "stats.metadata_thp"));
}

static void counts_begin_anew(void **state) {
	(void)state;
	for (int i = 0; i < 1000; i++)
		refresh();
	uint64_t before = CTL_GET(uint64_t, "stats.mutexes.ctl.num_ops");
	assert_true(before >= 1000);
	assert_int_equal(ctl("stats.mutexes.reset", NULL, NULL, NULL, 0), 0);
	refresh();
	assert_true(CTL_GET(uint64_t, "stats.mutexes.ctl.num_ops") < before);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sources),
		cmocka_unit_test(settings_of_arenas),
		cmocka_unit_test(huge_metadata),
		cmocka_unit_test(counts_begin_anew),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
