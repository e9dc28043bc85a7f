/* Formatting against snprintf. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

#include "harness.h"
#include "util/util.h"

#define STEPS 20000

static uint64_t seed;

/* The same arguments to snprintf and to a text of `size` bytes must give the same; the byte after must
 * stay. */
#define SAME(size, ...) \
	do { \
		char wanted_[256], got_[256]; \
		memset(got_, '#', sizeof got_); \
		int length_ = snprintf(wanted_, (size), __VA_ARGS__); \
		struct text text_ = text_over(got_, (size)); \
		text_add(&text_, __VA_ARGS__); \
		assert_string_equal(got_, wanted_); \
		assert_int_equal(text_.used, strlen(wanted_)); \
		assert_int_equal(text_.cut, (size_t)length_ >= (size_t)(size)); \
		assert_true(got_[size] == '#'); \
	} while (0)

static void test_conversions(void **state) {
	(void)state;
	SAME(100, "plain");
	SAME(100, "%s|%c|%d|%u|%%|%x", "text", 'c', -5, 5u, 0xbeefu);
	SAME(100, "%ld %lu %zu %zd %lx %zx", LONG_MIN, ULONG_MAX, SIZE_MAX, (ssize_t)-1, 0xfeedul, (size_t)0);
	SAME(100, "%d %d %ld", INT_MIN, INT_MAX, LONG_MAX);
}

static void test_padding(void **state) {
	(void)state;
	int local;
	SAME(100, "[%5d] [%-5d] [%05d]", 42, 42, 42);
	SAME(100, "[%5d] [%-5d] [%05d] [%03d]", -42, -42, -42, -42);
	SAME(100, "[%8s] [%-8s] [%2s] [%8c] [%-3c]", "abc", "abc", "abc", 'x', 'y');
	SAME(100, "[%.*s] [%.2s] [%.0s] [%6.2s] [%-6.*s]", 3, "abcdef", "abcdef", "abcdef", "abcdef", 1,
	     "abcdef");
	SAME(100, "[%.*s]", -1, "negative means none");
	SAME(100, "[%p] [%20p] [%-20p]", (void *)&local, (void *)&local, (void *)&local);
	SAME(100, "[%08x] [%16lx] [%-6zx]", 0x1fu, 0x123456789abcul, (size_t)15);
}

/* Precision bounds what is read, too. */
static void test_unterminated(void **state) {
	(void)state;
	const char letters[3] = {'a', 'b', 'c'};
	char buffer[16];
	struct text text = text_over(buffer, sizeof buffer);
	text_add(&text, "%.*s", 3, letters);
	assert_string_equal(buffer, "abc");
}

static void test_cut(void **state) {
	(void)state;
	char buffer[8];
	struct text text = text_over(buffer, sizeof buffer);
	assert_string_equal(buffer, "");
	text_add(&text, "123");
	text_add(&text, "4567");
	assert_false(text.cut);
	assert_string_equal(buffer, "1234567");
	text_add(&text, "%s", "");
	assert_false(text.cut);
	text_add(&text, "8");
	assert_true(text.cut);
	assert_string_equal(buffer, "1234567");
	text = text_over(buffer, 1);
	text_add(&text, "%d", 1);
	assert_true(text.cut);
	assert_string_equal(buffer, "");
}

/* What is not in the subset ends the text; it reads no argument of the wrong type. */
static void test_foreign(void **state) {
	(void)state;
	char buffer[32];
	const char *const foreign[] = {"a%", "a%5", "a%q%s", "a%*d"};
	for (size_t i = 0; i < COUNT_OF(foreign); i++) {
		struct text text = text_over(buffer, sizeof buffer);
		const char *volatile format = foreign[i];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
		text_add(&text, format);
#pragma GCC diagnostic pop
		assert_string_equal(buffer, "a");
		assert_true(text.cut);
	}
	struct text text = text_over(buffer, sizeof buffer);
	const char *volatile nothing = NULL;
	text_add(&text, "%s", nothing);
	assert_string_equal(buffer, "(null)");
}

static void test_random_numbers(void **state) {
	(void)state;
	for (size_t i = 0; i < test_scaled(STEPS); i++) {
		uint64_t value = random_next(&seed) >> random_below(&seed, 64);
		size_t size = 1 + (size_t)random_below(&seed, 60);
		int precision = (int)random_below(&seed, 12) - 1;
		SAME(size, "%ld,%lu,%lx", (long)value, (unsigned long)value, (unsigned long)value);
		SAME(size, "%d,%u,%x", (int)value, (unsigned)value, (unsigned)value);
		SAME(size, "%25ld,%-25lu,%025ld", -(long)(value >> 1), (unsigned long)value,
		     -(long)(value >> 1));
		SAME(size, "%12.*s,%-9s,%p", precision, "some words", "others",
		     (void *)(uintptr_t)(value | 1));
	}
}

int main(void) {
	seed = test_seed();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conversions),  cmocka_unit_test(test_padding),
		cmocka_unit_test(test_unterminated), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_foreign),      cmocka_unit_test(test_random_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
