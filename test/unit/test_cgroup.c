/* CPU quotas and limits of memory in made-up trees of control groups. */
#define _GNU_SOURCE 1
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "harness.h"
#include "util/util.h"
#include "os/os.h"

static char root[64];

static int make_root(void **state) {
	(void)state;
	(void)snprintf(root, sizeof root, "/tmp/ashlar-cgroup-XXXXXX");
	return mkdtemp(root) != NULL ? 0 : -1;
}

static int drop(const char *path, const struct stat *facts, int type, struct FTW *place) {
	(void)facts;
	(void)type;
	(void)place;
	return remove(path);
}

static int drop_root(void **state) {
	(void)state;
	return nftw(root, drop, 16, FTW_DEPTH | FTW_PHYS);
}

/* Writes a file of the tree, and the directories on the way to it. */
static void put(const char *name, const char *text) {
	char path[2048];
	int length = snprintf(path, sizeof path, "%s/%s", root, name);
	assert_in_range(length, 1, sizeof path - 1);
	for (char *at = path + 1; *at != 0; at++) {
		if (*at != '/')
			continue;
		*at = 0;
		(void)mkdir(path, 0755);
		*at = '/';
	}
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static struct os_group read_under(const char *mount, const char *membership, unsigned limit) {
	struct os_group group = {.cpus = limit};
	errno = 4711;
	os_read_group(mount, membership, &group);
	assert_int_equal(errno, 4711);
	return group;
}

static unsigned cpus(const char *membership, unsigned limit) {
	return read_under(root, membership, limit).cpus;
}

static size_t memory_max(const char *membership) {
	return read_under(root, membership, 1).memory_max;
}

static size_t memory_high(const char *membership) {
	return read_under(root, membership, 1).memory_high;
}

static void test_second_version(void **state) {
	(void)state;
	put("a/cpu.max", "250000 100000\n");
	assert_int_equal(cpus("0::/a\n", 16), 3);
	assert_int_equal(cpus("0::/a", 16), 3);
	assert_int_equal(cpus("0::/a/\n", 16), 3);
	assert_int_equal(cpus("0::/a\n", 2), 2);
	put("a/cpu.max", "200000 100000\n");
	assert_int_equal(cpus("0::/a\n", 16), 2);
	put("a/cpu.max", "1000 100000\n");
	assert_int_equal(cpus("0::/a\n", 16), 1);
	put("a/cpu.max", "max 100000\n");
	assert_int_equal(cpus("0::/a\n", 16), 16);
}

static void test_ancestors(void **state) {
	(void)state;
	put("a/cpu.max", "400000 100000\n");
	put("a/b/cpu.max", "max 100000\n");
	put("a/b/c/cpu.max", "800000 100000\n");
	assert_int_equal(cpus("0::/a/b/c\n", 16), 4);
	assert_int_equal(cpus("0::/a/b\n", 16), 4);
	put("a/b/c/cpu.max", "100000 50000\n");
	assert_int_equal(cpus("0::/a/b/c\n", 16), 2);
	put("cpu.max", "50000 50000\n");
	assert_int_equal(cpus("0::/a/b/c\n", 16), 1);
	assert_int_equal(cpus("0::/\n", 16), 1);
}

static void test_first_version(void **state) {
	(void)state;
	const char *membership = "12:pids:/x\n4:cpu,cpuacct:/a/b\n1:name=systemd:/y\n";
	put("cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
	put("cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
	assert_int_equal(cpus(membership, 16), 16);
	put("cpu,cpuacct/a/cpu.cfs_quota_us", "350000\n");
	put("cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
	assert_int_equal(cpus(membership, 16), 4);
	put("cpu,cpuacct/a/b/cpu.cfs_quota_us", "150000\n");
	assert_int_equal(cpus(membership, 16), 2);
	put("cpu,cpuacct/cpu.cfs_quota_us", "10000\n");
	put("cpu,cpuacct/cpu.cfs_period_us", "10000\n");
	assert_int_equal(cpus(membership, 16), 1);
}

/* The directory may be called by one controller or by both, in either order. */
static void test_first_version_mounts(void **state) {
	(void)state;
	put("cpu/one/cpu.cfs_quota_us", "200000\n");
	put("cpu/one/cpu.cfs_period_us", "100000\n");
	put("cpuacct,cpu/two/cpu.cfs_quota_us", "300000\n");
	put("cpuacct,cpu/two/cpu.cfs_period_us", "100000\n");
	assert_int_equal(cpus("1:cpu:/one\n", 16), 2);
	assert_int_equal(cpus("1:cpuacct,cpu:/two\n", 16), 3);
	assert_int_equal(cpus("1:cpuset:/one\n2:cpuacct:/one\n3:xcpu,cpux:/one\n", 16), 16);
}

/* A container with its own group mounted as the root, named by a path of the host. */
static void test_container(void **state) {
	(void)state;
	put("cpu/cpu.cfs_quota_us", "200000\n");
	put("cpu/cpu.cfs_period_us", "100000\n");
	assert_int_equal(cpus("3:cpu:/docker/0123456789abcdef\n", 16), 2);
	put("cpu.max", "300000 100000\n");
	assert_int_equal(cpus("0::/../../other/group\n", 16), 3);
	assert_int_equal(cpus("0::/..\n", 16), 3);
	assert_int_equal(cpus("0::/missing/deep/down\n", 16), 3);
}

/* ".." in a membership never leads out of the mount; other names with dots are names. */
static void test_dots(void **state) {
	(void)state;
	put("out/cpu.max", "100000 100000\n");
	put("in/..name/cpu.max", "200000 100000\n");
	char above[96];
	(void)snprintf(above, sizeof above, "%s/in", root);
	assert_int_equal(read_under(above, "0::/../out\n", 16).cpus, 16);
	assert_int_equal(read_under(above, "0::/..name\n", 16).cpus, 2);
}

static void test_both_versions(void **state) {
	(void)state;
	put("cpu/a/cpu.cfs_quota_us", "600000\n");
	put("cpu/a/cpu.cfs_period_us", "100000\n");
	put("unified/u/cpu.max", "500000 100000\n");
	assert_int_equal(cpus("1:cpu:/a\n0::/u\n", 16), 5);
	assert_int_equal(cpus("0::/u\n1:cpu:/a\n", 16), 5);
	assert_int_equal(cpus("0::/none\n1:cpu:/a\n", 16), 6);
}

static void test_nothing_there(void **state) {
	(void)state;
	assert_int_equal(cpus("", 8), 8);
	assert_int_equal(cpus("\n\n", 8), 8);
	assert_int_equal(cpus("0::/\n", 8), 8);
	assert_int_equal(cpus("1:cpu:/a\n0::/b\n", 8), 8);
	assert_int_equal(read_under("/nowhere/at/all", "0::/a\n", 8).cpus, 8);
}

/* What cannot be understood sets no limit. */
static void test_damage(void **state) {
	(void)state;
	const char *const files[] = {"",        "\n",         "x",          "100000",
	                             "100000 ", "100000 0\n", "100000 x\n", "-5 100000\n"};
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		put("a/cpu.max", files[i]);
		assert_int_equal(cpus("0::/a\n", 8), 8);
	}
	put("a/cpu.max", "99999999999999999999999999 1\n");
	assert_int_equal(cpus("0::/a\n", UINT_MAX), UINT_MAX);
	put("a/cpu.max", "0 100000\n");
	assert_int_equal(cpus("0::/a\n", 8), 1);
	const char *const lines[] = {"a",    ":",      "::",    "0:",     "0::",     "0::a",
	                             "0:/a", "cpu:/a", "1:cpu", "1:cpu:", "1:,cpu,:"};
	for (size_t i = 0; i < COUNT_OF(lines); i++)
		assert_int_equal(cpus(lines[i], 8), 8);
}

/* A group too long for us is skipped; its ancestors still count. */
static void test_long_path(void **state) {
	(void)state;
	char membership[4096] = "0::/a";
	put("a/cpu.max", "200000 100000\n");
	size_t used = strlen(membership);
	for (unsigned i = 0; i < 300; i++)
		for (const char *at = "/longish"; *at != 0; at++)
			membership[used++] = *at;
	membership[used] = 0;
	assert_int_equal(cpus(membership, 8), 2);
}

/* -- memory ---------------------------------------------------------------------------------------------------- */

#define NO_LIMIT_1 "9223372036854771712\n" /* what version 1 writes */

static void test_memory_second_version(void **state) {
	(void)state;
	assert_int_equal(memory_max("0::/a/b\n"), 0);
	put("a/b/memory.max", "max\n");
	put("a/b/memory.high", "max\n");
	assert_int_equal(memory_max("0::/a/b\n"), 0);
	assert_int_equal(memory_high("0::/a/b\n"), 0);
	put("a/b/memory.max", "536870912\n");
	assert_int_equal(memory_max("0::/a/b\n"), 536870912);
	assert_int_equal(memory_max("0::/a\n"), 0);
	put("a/memory.max", "268435456\n");
	put("a/memory.high", "134217728\n");
	assert_int_equal(memory_max("0::/a/b\n"), 268435456);
	assert_int_equal(memory_high("0::/a/b\n"), 134217728);
	put("memory.max", "1073741824\n");
	assert_int_equal(memory_max("0::/a/b\n"), 268435456);
	assert_int_equal(memory_max("0::/other\n"), 1073741824);
	put("a/b/memory.max", "0\n");
	assert_int_equal(memory_max("0::/a/b\n"), 1);
}

static void test_memory_first_version(void **state) {
	(void)state;
	const char *membership = "9:name=systemd:/\n4:memory:/pod/one\n1:cpu:/\n";
	put("memory/pod/one/memory.limit_in_bytes", NO_LIMIT_1);
	assert_int_equal(memory_max(membership), 0);
	put("memory/pod/memory.limit_in_bytes", "805306368\n");
	put("memory/pod/one/memory.soft_limit_in_bytes", "4096\n");
	assert_int_equal(memory_max(membership), 805306368);
	assert_int_equal(memory_high(membership), 0);
	put("memory/pod/one/memory.limit_in_bytes", "402653184\n");
	assert_int_equal(memory_max(membership), 402653184);
	put("memory/memory.limit_in_bytes", "4194304\n");
	assert_int_equal(memory_max(membership), 4194304);
	assert_int_equal(memory_max("4:memory:/somewhere/of/the/host\n"), 4194304);
	assert_int_equal(memory_max("4:cpu:/pod/one\n"), 0);
}

/* Both versions: memory in one, the other in use for something else. */
static void test_memory_both_versions(void **state) {
	(void)state;
	put("memory/a/memory.limit_in_bytes", "50000000\n");
	put("unified/u/memory.max", "40000000\n");
	put("unified/u/memory.high", "30000000\n");
	assert_int_equal(memory_max("0::/u\n4:memory:/a\n"), 40000000);
	assert_int_equal(memory_high("0::/u\n4:memory:/a\n"), 30000000);
	assert_int_equal(memory_max("0::/none\n4:memory:/a\n"), 50000000);
}

static void test_memory_damage(void **state) {
	(void)state;
	const char *const files[] = {"",          "\n",
	                             "x",         "-1\n",
	                             "maximum\n", "99999999999999999999999999\n",
	                             NO_LIMIT_1,  "1152921504606846976\n"};
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		put("a/memory.max", files[i]);
		assert_int_equal(memory_max("0::/a\n"), 0);
	}
	put("a/memory.max", "1152921504606846975\n");
	assert_int_equal(memory_max("0::/a\n"), 1152921504606846975);
}

#define IN_TREE(test) cmocka_unit_test_setup_teardown(test, make_root, drop_root)

int main(void) {
	const struct CMUnitTest tests[] = {
		IN_TREE(test_second_version),
		IN_TREE(test_ancestors),
		IN_TREE(test_first_version),
		IN_TREE(test_first_version_mounts),
		IN_TREE(test_container),
		IN_TREE(test_dots),
		IN_TREE(test_both_versions),
		IN_TREE(test_nothing_there),
		IN_TREE(test_damage),
		IN_TREE(test_long_path),
		IN_TREE(test_memory_second_version),
		IN_TREE(test_memory_first_version),
		IN_TREE(test_memory_both_versions),
		IN_TREE(test_memory_damage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
