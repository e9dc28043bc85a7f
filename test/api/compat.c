/* malloc_trim, mallinfo, mallinfo2, mallopt, malloc_info, malloc_stats: sane answers about this heap. */
#define _GNU_SOURCE
#include "api.h"

#include <ctype.h>
#include <fcntl.h>

enum { BLOCKS = 40, BLOCK = 1 << 20 };

static void *blocks[BLOCKS];

static void take_blocks(void) {
	for (int i = 0; i < BLOCKS; i++) {
		blocks[i] = malloc(BLOCK);
		assert_non_null(blocks[i]);
		memset(blocks[i], 1, BLOCK);
	}
}

static void drop_blocks(void) {
	for (int i = 0; i < BLOCKS; i++)
		free(blocks[i]);
}

static void mallinfo2_follows_the_heap(void **state) {
	(void)state;
	size_t size = (size_t)BLOCKS * BLOCK, slack = size / 4;
	struct mallinfo2 before = mallinfo2();
	take_blocks();
	struct mallinfo2 during = mallinfo2();
	drop_blocks();
	struct mallinfo2 after = mallinfo2();
	size_t used = during.uordblks + during.hblkhd - before.uordblks - before.hblkhd;
	assert_in_range(used, size - slack, size + slack);
	size_t given = during.uordblks + during.hblkhd - after.uordblks - after.hblkhd;
	assert_in_range(given, size - slack, size + slack);
	assert_true(during.arena + during.hblkhd >= during.uordblks);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static void mallinfo_follows_the_heap(void **state) {
	(void)state;
	size_t size = (size_t)BLOCKS * BLOCK, slack = size / 4;
	struct mallinfo before = mallinfo();
	take_blocks();
	struct mallinfo during = mallinfo();
	drop_blocks();
	size_t used = (size_t)(during.uordblks + during.hblkhd - before.uordblks - before.hblkhd);
	assert_in_range(used, size - slack, size + slack);
}
#pragma GCC diagnostic pop

static void trim_gives_pages_back(void **state) {
	(void)state;
	malloc_trim(0);
	size_t start = test_status_kib("VmRSS");
	take_blocks();
	assert_true(test_status_kib("VmRSS") > start + BLOCKS * 1024 - 8192);
	drop_blocks();
	int result = 0;
	ERRNO_KEPT(result = malloc_trim(0));
	assert_true(result == 0 || result == 1);
	assert_true(test_status_kib("VmRSS") < start + 8192);
	result = malloc_trim(SIZE_MAX);
	assert_true(result == 0 || result == 1);
	void *ptr = malloc(BLOCK);
	assert_non_null(ptr);
	memset(ptr, 1, BLOCK);
	free(ptr);
}

static void trim_reaches_small_blocks(void **state) {
	(void)state;
	enum { MANY = 200000 };
	static void *small[MANY];
	malloc_trim(0);
	size_t start = test_status_kib("VmRSS");
	for (int i = 0; i < MANY; i++) {
		small[i] = malloc(200);
		assert_non_null(small[i]);
		memset(small[i], 1, 200);
	}
	for (int i = 0; i < MANY; i++)
		free(small[i]);
	malloc_trim(0);
	assert_true(test_status_kib("VmRSS") < start + 10240);
}

static void mallopt_accepts_or_refuses(void **state) {
	(void)state;
	static const int parameters[] = {
		M_MXFAST,    M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX,
		M_ARENA_MAX, M_ARENA_TEST,     M_PERTURB, M_CHECK_ACTION,   -4711,
		4711};
	for (size_t i = 0; i < COUNT_OF(parameters); i++) {
		int result = mallopt(parameters[i], 65536);
		assert_true(result == 0 || result == 1);
	}
	void *ptr = malloc(100000);
	assert_non_null(ptr);
	free(ptr);
}

/* Enough of a parser: one root, tags nest, attributes are quoted, no stray '<' or '&'. */
static bool well_formed(const char *text) {
	char stack[32][64];
	int depth = 0, roots = 0;
	for (const char *at = text; *at != '\0'; at++) {
		if (*at == '&' || *at == '>' || (depth == 0 && *at != '<' && !isspace((unsigned char)*at)))
			return false;
		if (*at != '<')
			continue;
		if (at[1] == '?' || at[1] == '!') {
			at = strchr(at, '>');
			if (at == NULL)
				return false;
			continue;
		}
		bool closing = at[1] == '/';
		const char *name = at + 1 + closing;
		size_t length = strcspn(name, " \t\n/>");
		if (length == 0 || length > 63)
			return false;
		bool quoted = false;
		for (at = name + length; *at != '\0' && (quoted || *at != '>'); at++)
			if (*at == '"')
				quoted = !quoted;
		if (*at != '>')
			return false;
		if (closing) {
			if (depth == 0 || strlen(stack[depth - 1]) != length ||
			    strncmp(stack[depth - 1], name, length) != 0)
				return false;
			depth--;
		} else if (at[-1] != '/') {
			if ((depth == 0 && roots++ > 0) || depth == 32)
				return false;
			memcpy(stack[depth], name, length);
			stack[depth++][length] = '\0';
		}
	}
	return depth == 0 && roots == 1;
}

static void the_xml_checker_can_fail(void **state) {
	(void)state;
	assert_true(well_formed("<a b=\"1\"><c/><d>x</d></a>\n"));
	assert_false(well_formed("<a><b></a></b>"));
	assert_false(well_formed("<a>"));
	assert_false(well_formed("text"));
	assert_false(well_formed(""));
}

static void malloc_info_writes_xml(void **state) {
	(void)state;
	char *text = NULL;
	size_t length = 0;
	FILE *file = open_memstream(&text, &length);
	assert_non_null(file);
	assert_int_equal(malloc_info(0, file), 0);
	fclose(file);
	assert_true(strncmp(text, "<malloc version=\"1\">", 20) == 0 || strncmp(text, "<?xml", 5) == 0);
	assert_non_null(strstr(text, "</malloc>"));
	if (!well_formed(text))
		fail_msg("not well-formed:\n%s", text);
	free(text);
	file = fopen("/dev/null", "w");
	assert_non_null(file);
	assert_int_equal(malloc_info(1, file), EINVAL);
	fclose(file);
}

static void malloc_stats_writes_to_stderr(void **state) {
	(void)state;
	FILE *file = tmpfile();
	assert_non_null(file);
	fflush(stderr);
	int kept = dup(2);
	assert_true(kept >= 0);
	assert_int_equal(dup2(fileno(file), 2), 2);
	malloc_stats();
	fflush(stderr);
	dup2(kept, 2);
	close(kept);
	long length = lseek(fileno(file), 0, SEEK_END);
	assert_true(length > 20);
	fclose(file);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mallinfo2_follows_the_heap), cmocka_unit_test(mallinfo_follows_the_heap),
		cmocka_unit_test(trim_gives_pages_back),      cmocka_unit_test(trim_reaches_small_blocks),
		cmocka_unit_test(mallopt_accepts_or_refuses), cmocka_unit_test(the_xml_checker_can_fail),
		cmocka_unit_test(malloc_info_writes_xml),     cmocka_unit_test(malloc_stats_writes_to_stderr),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
