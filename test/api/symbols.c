/* Every name of the standard interface, and the C library's own aliases of it, lead to this library. */
#define _GNU_SOURCE
#include "api.h"

#include <dlfcn.h>

static const char *const names[] = {
	"malloc", "calloc", "realloc", "reallocarray", "reallocf", "free", "cfree", "free_sized",
	"free_aligned_sized", "posix_memalign", "aligned_alloc", "memalign", "valloc", "pvalloc",
	"malloc_usable_size", "malloc_trim", "mallinfo", "mallinfo2", "mallopt", "malloc_info",
	"malloc_stats", "__libc_malloc", "__libc_calloc", "__libc_realloc", "__libc_reallocarray",
	"__libc_free", "__libc_memalign", "__libc_valloc", "__libc_pvalloc", "__libc_free_sized",
	"__libc_free_aligned_sized", "__posix_memalign",
	/* operator new and delete, all forms */
	"_Znwm", "_Znam", "_ZnwmRKSt9nothrow_t", "_ZnamRKSt9nothrow_t", "_ZnwmSt11align_val_t",
	"_ZnamSt11align_val_t", "_ZnwmSt11align_val_tRKSt9nothrow_t", "_ZnamSt11align_val_tRKSt9nothrow_t",
	"_ZdlPv", "_ZdaPv", "_ZdlPvRKSt9nothrow_t", "_ZdaPvRKSt9nothrow_t", "_ZdlPvm", "_ZdaPvm",
	"_ZdlPvSt11align_val_t", "_ZdaPvSt11align_val_t", "_ZdlPvSt11align_val_tRKSt9nothrow_t",
	"_ZdaPvSt11align_val_tRKSt9nothrow_t", "_ZdlPvmSt11align_val_t", "_ZdaPvmSt11align_val_t"};

static void every_name_is_ours(void **state) {
	(void)state;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		void *address = dlsym(RTLD_DEFAULT, names[i]);
		if (address == NULL)
			fail_msg("%s is not defined", names[i]);
		Dl_info info;
		if (dladdr(address, &info) == 0 || strstr(info.dli_fname, "libashlar") == NULL)
			fail_msg("%s comes from %s", names[i], info.dli_fname);
	}
}

/* Through the pointer rather than the name: these have no prototypes anywhere. */
static void *look(const char *name) {
	void *address = dlsym(RTLD_DEFAULT, name);
	assert_non_null(address);
	return address;
}

typedef void *one_size(size_t);
typedef void *two_sizes(size_t, size_t);
typedef void *resize(void *, size_t);
typedef void release(void *);

static void *call_one(const char *name, size_t size) {
	one_size *function;
	*(void **)&function = look(name);
	return function(size);
}

static void *call_two(const char *name, size_t first, size_t second) {
	two_sizes *function;
	*(void **)&function = look(name);
	return function(first, second);
}

static void call_free(const char *name, void *ptr) {
	release *function;
	*(void **)&function = look(name);
	function(ptr);
}

static void *call_resize(const char *name, void *ptr, size_t size) {
	resize *function;
	*(void **)&function = look(name);
	return function(ptr, size);
}

static void libc_names_share_the_heap(void **state) {
	(void)state;
	void *ptr = call_one("__libc_malloc", 100);
	assert_int_equal(malloc_usable_size(ptr), 112);
	ptr = call_resize("__libc_realloc", ptr, 5000);
	assert_int_equal(malloc_usable_size(ptr), 5120);
	free(ptr);
	unsigned char *zeros = call_two("__libc_calloc", 10, 30);
	assert_int_equal(malloc_usable_size(zeros), 320);
	for (int i = 0; i < 300; i++)
		assert_int_equal(zeros[i], 0);
	call_free("__libc_free", zeros);
	ptr = call_two("__libc_memalign", 4096, 10);
	assert_true(ptr != NULL && test_aligned(ptr, 4096));
	call_free("cfree", ptr);
	ptr = call_one("__libc_valloc", 10);
	assert_true(ptr != NULL && test_aligned(ptr, 4096));
	call_free("free", ptr);
	ptr = call_one("__libc_pvalloc", 4097);
	assert_true(ptr != NULL && test_aligned(ptr, 4096));
	assert_int_equal(malloc_usable_size(ptr), 8192);
	free(ptr);
	int (*memalign_posix)(void **, size_t, size_t);
	*(void **)&memalign_posix = look("__posix_memalign");
	assert_int_equal(memalign_posix(&ptr, 256, 10), 0);
	assert_true(test_aligned(ptr, 256));
	free(ptr);
	void (*sized)(void *, size_t);
	*(void **)&sized = look("__libc_free_sized");
	sized(malloc(200), 200);
	void (*aligned_sized)(void *, size_t, size_t);
	*(void **)&aligned_sized = look("__libc_free_aligned_sized");
	aligned_sized(aligned_alloc(512, 200), 512, 200);
}

static void libc_names_fail_alike(void **state) {
	(void)state;
	ERRNO_SET(ENOMEM, assert_null(call_one("__libc_malloc", PTRDIFF_MAX)));
	ERRNO_SET(ENOMEM, assert_null(call_two("__libc_calloc", SIZE_MAX, 2)));
	ERRNO_SET(ENOMEM, assert_null(call_resize("__libc_realloc", NULL, SIZE_MAX)));
	assert_null(call_two("__libc_memalign", 64, SIZE_MAX));
	assert_null(call_one("__libc_pvalloc", SIZE_MAX));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_name_is_ours),
		cmocka_unit_test(libc_names_share_the_heap),
		cmocka_unit_test(libc_names_fail_alike),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
