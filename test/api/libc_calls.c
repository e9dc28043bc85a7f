/* What the C library and the loader allocate for a program comes from this heap, and free() takes it back. */
#define _GNU_SOURCE
#include "api.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <glob.h>
#include <locale.h>
#include <pthread.h>
#include <regex.h>
#include <search.h>
#include <wchar.h>

/* A block somebody else allocated for us: known to this heap and of the size asked for. */
static void expect_ours(void *ptr, size_t size) {
	assert_non_null(ptr);
	assert_int_equal(malloc_usable_size(ptr), model_usable(size));
	free(ptr);
}

static void strings(void **state) {
	(void)state;
	expect_ours(strdup("twelve chars"), 13);
	expect_ours(strndup("twelve chars", 6), 7);
	expect_ours(wcsdup(L"wide"), 5 * sizeof(wchar_t));
	char *text = NULL;
	assert_int_equal(asprintf(&text, "%d-%s-%09.3f", 42, "middle", 3.14159), 19);
	assert_string_equal(text, "42-middle-00003.142");
	assert_true(malloc_usable_size(text) >= 20);
	free(text);
	char *long_text = NULL;
	assert_int_equal(asprintf(&long_text, "%*s", 300000, "right"), 300000);
	assert_string_equal(long_text + 299995, "right");
	assert_true(malloc_usable_size(long_text) >= 300001);
	free(long_text);
}

static void streams(void **state) {
	(void)state;
	FILE *file = tmpfile();
	assert_non_null(file);
	assert_true(malloc_usable_size(file) >= sizeof(FILE));
	for (int i = 0; i < 20000; i++)
		fprintf(file, "line %d of the file\n", i);
	rewind(file);
	char *line = NULL;
	size_t capacity = 0;
	int count = 0;
	while (getline(&line, &capacity, file) > 0)
		count++;
	assert_int_equal(count, 20000);
	assert_true(capacity > 0 && malloc_usable_size(line) >= capacity);
	free(line);
	fclose(file);
	char *text = NULL;
	size_t length = 0;
	file = open_memstream(&text, &length);
	for (int i = 0; i < 50000; i++)
		fputs("0123456789", file);
	fclose(file);
	assert_int_equal(length, 500000);
	assert_true(malloc_usable_size(text) > length);
	free(text);
}

static void directories_and_paths(void **state) {
	(void)state;
	DIR *directory = opendir("/proc/self");
	assert_non_null(directory);
	assert_true(malloc_usable_size(directory) > 0);
	assert_non_null(readdir(directory));
	closedir(directory);
	char *path = realpath("/proc/self/../self/maps", NULL);
	assert_non_null(path);
	assert_true(malloc_usable_size(path) > strlen(path));
	free(path);
	path = getcwd(NULL, 0);
	assert_non_null(path);
	assert_true(malloc_usable_size(path) > strlen(path));
	free(path);
	struct dirent **entries = NULL;
	int count = scandir("/proc/self", &entries, NULL, alphasort);
	assert_true(count > 10);
	for (int i = 0; i < count; i++) {
		assert_true(malloc_usable_size(entries[i]) > 0);
		free(entries[i]);
	}
	free(entries);
	glob_t found;
	assert_int_equal(glob("/proc/self/m*", 0, NULL, &found), 0);
	assert_true(found.gl_pathc >= 2 && malloc_usable_size(found.gl_pathv) > 0);
	globfree(&found);
}

static int compare_numbers(const void *a, const void *b) {
	uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;
	return first < second ? -1 : first > second;
}

static void sorting_and_searching(void **state) {
	(void)state;
	enum { MANY = 300000 };
	uint64_t *numbers = malloc(MANY * sizeof *numbers), random = 7;
	assert_non_null(numbers);
	for (int i = 0; i < MANY; i++)
		numbers[i] = test_random(&random);
	qsort(numbers, MANY, sizeof *numbers, compare_numbers);
	for (int i = 1; i < MANY; i++)
		assert_true(numbers[i - 1] <= numbers[i]);
	void *root = NULL;
	for (int i = 0; i < 3000; i++)
		assert_non_null(tsearch(&numbers[(i * 7919) % MANY], &root, compare_numbers));
	assert_true(malloc_usable_size(root) >= 3 * sizeof(void *));
	for (int i = 0; i < 3000; i++)
		assert_non_null(tdelete(&numbers[(i * 7919) % MANY], &root, compare_numbers));
	assert_null(root);
	free(numbers);
	regex_t pattern;
	assert_int_equal(regcomp(&pattern, "^(a|b)*[[:digit:]]{2,5}(x|yz)+$", REG_EXTENDED), 0);
	assert_int_equal(regexec(&pattern, "abba123xyzx", 0, NULL, 0), 0);
	assert_int_equal(regexec(&pattern, "abba1xyzx", 0, NULL, 0), REG_NOMATCH);
	regfree(&pattern);
}

static void environment_and_locale(void **state) {
	(void)state;
	char name[32], value[400];
	memset(value, 'v', sizeof value - 1);
	value[sizeof value - 1] = '\0';
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof name, "TEST_VARIABLE_%d", i);
		assert_int_equal(setenv(name, value, 1), 0);
	}
	assert_string_equal(getenv("TEST_VARIABLE_499"), value);
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof name, "TEST_VARIABLE_%d", i);
		assert_int_equal(unsetenv(name), 0);
	}
	locale_t locale = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);
	assert_non_null(locale);
	freelocale(locale);
}

static void *thread_body(void *argument) {
	static _Thread_local char big[3000];
	char *copy = strdup(argument);
	memset(big, 1, sizeof big);
	return copy;
}

static void threads_and_modules(void **state) {
	(void)state;
	char text[] = "from another thread";
	for (int round = 0; round < 50; round++) {
		pthread_t threads[8];
		pthread_attr_t attributes;
		pthread_attr_init(&attributes);
		pthread_attr_setstacksize(&attributes, 256 * 1024);
		for (int i = 0; i < 8; i++)
			assert_int_equal(pthread_create(&threads[i], &attributes, thread_body, text), 0);
		for (int i = 0; i < 8; i++) {
			void *copy = NULL;
			assert_int_equal(pthread_join(threads[i], &copy), 0);
			assert_string_equal(copy, text);
			expect_ours(copy, sizeof text);
		}
		pthread_attr_destroy(&attributes);
	}
	for (int round = 0; round < 20; round++) {
		void *module = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);
		assert_non_null(module);
		assert_non_null(dlsym(module, "cos"));
		assert_null(dlsym(module, "no_such_function"));
		assert_non_null(dlerror());
		dlclose(module);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings),
		cmocka_unit_test(streams),
		cmocka_unit_test(directories_and_paths),
		cmocka_unit_test(sorting_and_searching),
		cmocka_unit_test(environment_and_locale),
		cmocka_unit_test(threads_and_modules),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
